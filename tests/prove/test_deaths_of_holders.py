"""`kill -9` of the process that holds the lease, 500 times under load."""

import pytest
from tests.client.killing import kill_holders, require_nobody_hurt
from tests.client.rotating import Rotating

from mintmark.testing import FakeAuthority


@pytest.mark.prove
@pytest.mark.service
@pytest.mark.timeout(1800)
def test_s03_s12_s13_five_hundred_deaths_sign_nobody_out(
    authority: FakeAuthority, redis_url: str
) -> None:
    rotating = Rotating(authority)

    deaths = kill_holders(authority, rotating, redis_url, kills=500, turn=1.0)

    require_nobody_hurt(deaths, rotating)
    assert deaths.kills == 500
