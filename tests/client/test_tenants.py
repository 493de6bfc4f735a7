"""One client for each tenant, made when it is asked for."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from mintmark.client import Authority, Client, Tenants, TokenManager, UnknownTenant
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock


class Directory:
    """Who the tenants are, and how often it was asked."""

    def __init__(self, authority: FakeAuthority, clock: FrozenClock) -> None:
        self.authority = Authority(authority.issuer, policy=authority.policy, clock=clock)
        self.tokens = TokenManager(clock=clock)
        self.asked: list[str] = []
        self.secret = "a-secret-of-this-test-alone"
        self.slow: dict[str, threading.Event] = {}

    def resolve(self, tenant: str) -> Client:
        self.asked.append(tenant)
        if tenant in self.slow:
            assert self.slow[tenant].wait(5)
        if tenant == "nobody":
            raise UnknownTenant(tenant)
        return Client(
            self.authority,
            # A tenant says itself who its client is, and may say what another one says.
            client_id=f"of-{tenant.removeprefix('not-')}",
            client_secret=Secret(self.secret),
            tokens=self.tokens,
        )


@pytest.fixture
def directory(authority: FakeAuthority, clock: FrozenClock) -> Iterator[Directory]:
    authority.clock = clock
    made = Directory(authority, clock)
    yield made
    made.tokens.close()
    made.authority.close()


@pytest.fixture
def tenants(directory: Directory, clock: FrozenClock) -> Tenants:
    return Tenants(directory.resolve, keep=60, most=3, clock=clock)


def test_each_has_its_own_client_and_its_own_token(
    tenants: Tenants, authority: FakeAuthority
) -> None:
    acme, other = (tenants.client(name).app_token(scope="a") for name in ("acme", "other"))

    assert acme.token() != other.token()
    assert tenants.client("acme").app_token(scope="a").token() == acme.token()
    assert authority.counts["client_credentials"] == 2


def test_settings_are_asked_for_again_after_their_time_and_the_token_stays(
    tenants: Tenants, directory: Directory, clock: FrozenClock, authority: FakeAuthority
) -> None:
    token = tenants.client("acme").app_token(scope="a").token()
    clock.advance(timedelta(seconds=59.0))
    tenants.client("acme")
    assert directory.asked == ["acme"]

    clock.advance(timedelta(seconds=1.0))

    assert tenants.client("acme").app_token(scope="a").token() == token
    assert directory.asked == ["acme", "acme"]
    assert authority.counts["client_credentials"] == 1


def test_a_clock_that_was_set_back_keeps_nothing_alive(
    tenants: Tenants, directory: Directory, clock: FrozenClock
) -> None:
    tenants.client("acme")
    clock.advance(timedelta(seconds=-1.0))

    tenants.client("acme")

    assert directory.asked == ["acme", "acme"]


def test_an_unknown_tenant_is_not_remembered(tenants: Tenants, directory: Directory) -> None:
    for _ in range(2):
        with pytest.raises(UnknownTenant):
            tenants.client("nobody")

    assert directory.asked == ["nobody", "nobody"]
    assert tenants._making == {}


def test_the_one_that_was_not_asked_for_longest_leaves_first(
    tenants: Tenants, directory: Directory
) -> None:
    for name in ("a", "b", "c", "a", "d", "a"):
        tenants.client(name)
    assert directory.asked == ["a", "b", "c", "d"]

    tenants.client("b")

    assert directory.asked[-1] == "b"


def test_a_forgotten_tenant_is_resolved_anew(tenants: Tenants, directory: Directory) -> None:
    tenants.client("acme")
    tenants.forget("acme")
    tenants.forget("never-seen")

    tenants.client("acme")

    assert directory.asked == ["acme", "acme"]


def test_many_at_once_make_one_client_and_a_slow_tenant_keeps_nobody_else_waiting(
    tenants: Tenants, directory: Directory
) -> None:
    directory.slow["slow"] = threading.Event()
    found: list[Client] = []
    threads = [
        threading.Thread(target=lambda: found.append(tenants.client("slow"))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    while not directory.asked:
        time.sleep(0.001)

    assert tenants.client("quick").client_id == "of-quick"
    directory.slow["slow"].set()
    for thread in threads:
        thread.join(5)

    assert len(found) == 20
    assert len({id(one) for one in found}) == 1
    assert directory.asked.count("slow") == 1


def test_who_names_another_tenants_client_does_not_get_its_tokens(
    tenants: Tenants, authority: FakeAuthority
) -> None:
    acme, thief = tenants.client("acme"), tenants.client("not-acme")
    assert acme.client_id == thief.client_id

    def make() -> Secret:
        return authority.access_token(sub="alice", scope="a")

    assert acme.app_token(scope="a").token() != thief.app_token(scope="a").token()
    assert authority.counts["client_credentials"] == 2
    asserted = {one.jwt_bearer(make, subject="alice")._place()[0] for one in (acme, thief)}
    assert len(asserted) == 2
    assert tenants.client("acme").jwt_bearer(make, subject="alice")._place()[0] in asserted


def test_what_the_resolver_knew_before_a_change_is_not_kept(
    tenants: Tenants, directory: Directory
) -> None:
    directory.slow["acme"] = threading.Event()
    found: list[Client] = []
    threads = [
        threading.Thread(target=lambda: found.append(tenants.client("acme"))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    while not directory.asked:
        time.sleep(0.001)
    tenants.forget("acme")
    directory.slow["acme"].set()
    for thread in threads:
        thread.join(5)
    now = tenants.client("acme")

    assert len(found) == 5
    assert directory.asked == ["acme", "acme"]
    assert found.count(now) == 4
    assert tenants._making == {}
