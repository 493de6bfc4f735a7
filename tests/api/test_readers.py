"""No octets of a stranger bring out an exception that is not ours; `make prove` asks for longer."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.api.readers import READERS, Reader

EACH = pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)


@EACH
def test_what_is_honest_is_read(reader: Reader) -> None:
    """So whatever is refused below is refused for what was changed."""
    reader.read(reader.honest)


@EACH
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_what_was_changed_is_read_or_refused_in_our_own_words(
    reader: Reader, data: st.DataObject
) -> None:
    value, refusal = data.draw(reader.inputs), None
    try:
        reader.read(value)
    except reader.ours as ours:
        refusal = ours
    # Nothing foreign is hidden behind it either, whose text could quote the input.
    assert refusal is None or refusal.__cause__ is None
