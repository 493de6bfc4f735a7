"""A client of the fake authority, on a clock that stands still."""

from collections.abc import Iterator

import pytest
from tests.client.signing_in import SignIns

from mintmark.client import Authority, Client, TokenManager
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock

API = "https://api.example"


@pytest.fixture
def client(authority: FakeAuthority, clock: FrozenClock) -> Iterator[Client]:
    authority.clock = clock
    made = Client(
        Authority(authority.issuer, policy=authority.policy, clock=clock),
        client_id="client",
        client_secret=Secret("a-client-secret-of-this-test-alone"),
        tokens=TokenManager(clock=clock),
    )
    yield made
    made.close()


@pytest.fixture
def sign_ins(authority: FakeAuthority, clock: FrozenClock) -> Iterator[SignIns]:
    made = SignIns(authority, clock)
    yield made
    for one in made.clients:
        one.close()
