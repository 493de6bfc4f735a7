"""Item 5 of the guard at its full length: 2,000 replays of one proof at once."""

import pytest
from tests.api.replays import replay_at_once
from tests.api.test_shared_replay import Holder

from mintmark.testing import FakeAuthority, FrozenClock


@pytest.mark.prove
@pytest.mark.service
@pytest.mark.timeout(600)
@pytest.mark.parametrize("_", range(3))
def test_two_thousand_replays_over_four_processes_have_one_success(
    redis_url: str, authority: FakeAuthority, clock: FrozenClock, _: int
) -> None:
    statuses = replay_at_once(
        issuer=authority.issuer,
        redis_url=redis_url,
        headers=Holder(authority, clock).headers(),
        processes=4,
        each=500,
    )

    assert statuses == {200: 1, 401: 1_999}
