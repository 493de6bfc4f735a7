"""A secret is shown to nobody: RFC 6749 §10.10 for its size, the rest for everybody who logs."""

import copy
import logging
import pickle
from collections.abc import Callable

import pytest

from mintmark.secret import Secret

SHOWN: list[Callable[[Secret], str]] = [
    repr,
    str,
    lambda secret: f"{secret}",
    lambda secret: f"{secret!r:>60}",
    lambda secret: "%s" % secret,  # noqa: UP031 -- the old form is what is under test
    lambda secret: "{}".format(secret),  # noqa: UP032 -- the old form is what is under test
    lambda secret: str([secret, {"a": secret}]),
    lambda secret: str(ValueError(secret)),
    lambda secret: logging.LogRecord("a", 20, "b", 1, "%s", (secret,), None).getMessage(),
]


@pytest.mark.parametrize("show", SHOWN)
def test_no_way_of_showing_it_shows_it(show: Callable[[Secret], str]) -> None:
    value = "correct-horse-battery-staple"

    assert value not in show(Secret(value))
    assert Secret(value).fingerprint() in show(Secret(value))


@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy])
def test_it_is_neither_pickled_nor_copied(leave: Callable[[Secret], object]) -> None:
    with pytest.raises(TypeError, match="not pickled") as refusal:
        leave(Secret("correct-horse-battery-staple"))
    assert "correct" not in str(refusal.value)


def test_nobody_guesses_a_generated_one() -> None:
    """RFC 6749 §10.10: 2^-160 is asked for; these are 256 bits."""
    many = [Secret.generate().reveal() for _ in range(1000)]

    assert len(set(many)) == 1000
    assert {len(value) for value in many} == {43}


def test_it_equals_its_own_value_alone() -> None:
    one = Secret("a")

    assert one == Secret("a")
    assert one != Secret("b")
    assert one != "a"
    assert len({one, Secret("a"), Secret("b")}) == 2


def test_it_has_no_attributes_to_look_through() -> None:
    assert not hasattr(Secret("a"), "__dict__")
    with pytest.raises(AttributeError):
        Secret("a").other = 1  # type: ignore[attr-defined]  # -- the mistake under test
