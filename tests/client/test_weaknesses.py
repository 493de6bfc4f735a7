"""Weaknesses that other systems' clients had (docs/scenarios.md), tried at this one."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from tests.client.conftest import API

from mintmark.client import Authority, Client, TokenManager
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock


def test_w57_expires_in_counts_from_now_and_not_from_1970(
    client: Client, authority: FakeAuthority, clock: FrozenClock
) -> None:
    """Read as a date it would be over since 1970, and every call would buy a token."""
    authority.lifetime = timedelta(hours=1)
    orders = client.app_token(resource=API)
    first = orders.token()

    (held,) = client.tokens.snapshot()
    assert held.expires_at == clock.now() + timedelta(hours=1)
    assert {orders.token() for _ in range(100)} == {first}
    assert authority.counts["client_credentials"] == 1
    clock.advance(timedelta(hours=1))
    assert orders.token() != first
    assert authority.counts["client_credentials"] == 2


def test_w58_writers_at_the_same_moment_lose_nothing(
    client: Client, authority: FakeAuthority
) -> None:
    """Four tokens, forty threads, all at once: each is fetched once, and each is kept."""
    authority.delay = 0.02
    recipes = [client.app_token(scope=name, resource=API) for name in "abcd"]
    start = threading.Barrier(40)

    def ask(number: int) -> tuple[int, Secret]:
        start.wait()
        return number % 4, recipes[number % 4].token()

    with ThreadPoolExecutor(40) as threads:
        answers = set(threads.map(ask, range(40)))

    assert len(answers) == 4
    assert authority.counts["client_credentials"] == 4
    assert {(number, recipe.token()) for number, recipe in enumerate(recipes)} == answers
    assert authority.counts["client_credentials"] == 4


def test_w58_a_renewal_beside_a_renewal_keeps_both(
    client: Client, authority: FakeAuthority, clock: FrozenClock
) -> None:
    recipes = [client.app_token(scope=name, resource=API) for name in "ab"]
    old = [recipe.token() for recipe in recipes]
    clock.advance(authority.lifetime)
    authority.delay = 0.02
    with ThreadPoolExecutor(2) as threads:
        new = list(threads.map(lambda recipe: recipe.token(), recipes))

    assert set(old) & set(new) == set()
    assert [recipe.token() for recipe in recipes] == new
    assert authority.counts["client_credentials"] == 4


def test_w60_a_recipe_or_client_made_anew_for_every_call_finds_what_is_there(
    authority: FakeAuthority, clock: FrozenClock
) -> None:
    """The memory belongs to the token manager, and not to whatever was made for one call."""
    authority.clock = clock
    known = Authority(authority.issuer, policy=authority.policy, clock=clock)
    shared, own = TokenManager(clock=clock), TokenManager(clock=clock)

    def once(manager: TokenManager) -> Secret:
        client = Client(
            known,
            client_id="client",
            client_secret=Secret("a-client-secret-of-this-test-alone"),
            tokens=manager,
        )
        return client.app_token(scope="a", resource=API).token()

    assert len({once(shared) for _ in range(20)}) == 1
    assert authority.counts["client_credentials"] == 1
    # A memory of its own is one that somebody asked for.
    assert once(own) != once(shared)
    assert authority.counts["metadata"] == 1
    for one in (shared, own, known):
        one.close()
