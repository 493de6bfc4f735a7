"""How a manager keeps a hundred thousand tokens in little room, and forgets nothing by it."""

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import pytest

from mintmark.client import AuthorityUnavailable, RenewalPolicy, TokenManager
from mintmark.client.keys import ApplicationKey, DelegatedKey, SubjectKey
from mintmark.client.manager import SWEEP_FROM, Acquired
from mintmark.client.packed import packed_key
from mintmark.client.renewal import Lease
from mintmark.events import Event
from mintmark.secret import Secret
from mintmark.testing import FrozenClock

TEN = timedelta(minutes=10)
APPLICATION = ApplicationKey(
    issuer="https://id.example", client_id="client", scope=frozenset({"a"}),
    resource=frozenset({"https://api.example"}),
)  # fmt: skip
KEYS: dict[str, Any] = {
    "one resource": APPLICATION,
    "no resource": replace(APPLICATION, resource=frozenset()),
    "an empty resource": replace(APPLICATION, resource=frozenset({""})),
    "two resources": replace(APPLICATION, resource=frozenset({"https://a.example", "https://b"})),
    "no scope": replace(APPLICATION, scope=frozenset()),
    "bound": replace(APPLICATION, jkt="thumbprint"),
    "more": replace(APPLICATION, extra=frozenset({("claims", "{}")})),
    "a person": DelegatedKey(
        issuer="https://id.example", client_id="client", session=b"s" * 32,
        scope=frozenset({"a"}), resource=frozenset({"https://api.example"}),
    ),
    "exchanged": SubjectKey(
        issuer="https://id.example", client_id="client", grant="grant", subject=b"s" * 32,
        actor=b"", scope=frozenset({"a"}), resource=frozenset({"https://api.example"}),
    ),
    "a text that looks like octets": replace(APPLICATION, resource=frozenset({"s" * 32})),
}  # fmt: skip


@pytest.fixture
def manager(clock: FrozenClock) -> Iterator[TokenManager]:
    made = TokenManager(clock=clock)
    yield made
    made.close()


def lasting(clock: FrozenClock, text: str = "", lifetime: timedelta = TEN) -> Acquired:
    now = clock.timestamp()
    return Acquired(Secret(text or "t" * 512), now, RenewalPolicy().lease(now, lifetime))


class TestKeys:
    @pytest.mark.parametrize("name", KEYS)
    def test_a_key_comes_out_as_it_went_in(self, name: str) -> None:
        whole = packed_key(KEYS[name]).whole()

        assert whole == KEYS[name]
        assert type(whole) is type(KEYS[name])

    def test_w01_keys_are_equal_when_packed_if_and_only_if_they_are(self) -> None:
        packed = [packed_key(key) for key in KEYS.values()]

        assert len(set(packed)) == len(KEYS)
        assert packed == [packed_key(replace(key)) for key in KEYS.values()]

    def test_w01_a_difference_in_any_field_is_another_slot(self, manager: TokenManager) -> None:
        for key in (KEYS["one resource"], KEYS["a person"], KEYS["exchanged"]):
            for field in fields(key):
                changed = replace(key, **{field.name: _other(getattr(key, field.name))})
                assert manager.slot(changed) is not manager.slot(key), field.name
            assert manager.slot(replace(key)) is manager.slot(key)


def _other(value: object) -> object:
    match value:
        case str():
            return value + "x"
        case bytes():
            return value + b"x"
        case frozenset():
            return value | {"x"}
    raise TypeError(value)


class TestTokens:
    def test_a_token_comes_out_as_it_went_in(
        self, manager: TokenManager, clock: FrozenClock
    ) -> None:
        slot, now = manager.slot(APPLICATION), clock.timestamp()
        lease = Lease(now - 60, now + 450.5, now + 540, now + 600)
        for fetched in (True, False):
            for details in ((), ({"type": "payment", "locations": ["here"]},)):
                held = Acquired(Secret("token"), now, lease, fetched=fetched, details=details)
                slot.held = held
                assert slot.held == held

    def test_a_token_that_is_let_go_is_not_shown(
        self, manager: TokenManager, clock: FrozenClock
    ) -> None:
        slot = manager.slot(APPLICATION)
        for held in (lasting(clock), None):
            slot.held = held
            assert slot.held == held
            assert len(manager.snapshot()) == (held is not None)

    def test_w02_no_moment_moves_by_more_than_a_microsecond(
        self, manager: TokenManager, clock: FrozenClock
    ) -> None:
        slot, policy = manager.slot(APPLICATION), RenewalPolicy()
        for number in range(200):
            clock.advance(timedelta(seconds=number, microseconds=7919 * number))
            now = clock.timestamp()
            lease = policy.lease(now, timedelta(seconds=1 + 37 * number, microseconds=number))
            slot.held = Acquired(Secret("token"), now, lease)
            kept = slot.held.lease
            for moment in ("usable_from", "renew_from", "usable_until", "expires_at"):
                assert abs(getattr(kept, moment) - getattr(lease, moment)) <= 1e-6

    def test_renewals_of_equal_lifetimes_do_not_begin_together(self) -> None:
        begun = {RenewalPolicy().lease(1000.0, TEN).renew_from for _ in range(400)}

        assert len(begun) > 100
        assert max(begun) - min(begun) <= 0.2 * 60

    def test_each_held_token_takes_little_more_than_its_text(
        self, manager: TokenManager, clock: FrozenClock
    ) -> None:
        number, octets = 2000, 512
        for each in range(number):
            key = replace(APPLICATION, resource=frozenset({f"https://api-{each:05}.example"}))
            manager.slot(key).held = lasting(clock, f"{each:0{octets}}")
        parts: dict[int, object] = {}
        for slot in manager.slots():
            packed, kept = slot.packed, slot.kept
            assert kept is not None
            text = kept.token.reveal()
            its = (slot, packed, packed.common, packed.own, kept, kept.token, text, kept.received)
            parts |= {id(one): one for one in (*its, kept.terms, slot._passing, slot._worked)}

        assert len(manager.slots()) == number
        assert sum(map(sys.getsizeof, parts.values())) / number - octets < 380


class TestSlots:
    def test_a_failure_that_is_remembered_keeps_no_recipe_alive(
        self, manager: TokenManager
    ) -> None:
        class Recipe:
            def acquire(self) -> Acquired:
                try:
                    raise KeyError("inside")
                except KeyError:
                    raise AuthorityUnavailable("down")  # noqa: B904 -- with a context, as it may be

        recipe = Recipe()
        gone, slot = weakref.ref(recipe), manager.slot(APPLICATION)
        with pytest.raises(AuthorityUnavailable):
            manager.get(slot, recipe.acquire)
        del recipe
        gc.collect()

        assert slot.failed is not None
        assert gone() is None

    def test_a_swept_slot_goes_when_nobody_holds_it(self, manager: TokenManager) -> None:
        mine = manager.slot(APPLICATION)
        for number in range(2 * SWEEP_FROM):
            manager.slot(replace(APPLICATION, client_id=str(number)))
        assert list(manager._swept.values()) == [mine]
        gone = weakref.ref(mine)
        del mine
        gc.collect()

        assert gone() is None
        assert len(manager._swept) == 0

    def test_a_swept_slot_is_dropped_with_its_session(
        self, manager: TokenManager, clock: FrozenClock
    ) -> None:
        mine = manager.slot(KEYS["a person"])
        for number in range(2 * SWEEP_FROM):
            manager.slot(replace(APPLICATION, client_id=str(number)))
        mine.held = lasting(clock)
        manager.drop(lambda key: key.kind == "delegated", own=b"s" * 32)

        assert not mine.kept
        assert manager.slot(KEYS["a person"]) is not mine

    def test_dropping_one_session_leaves_the_others(
        self, manager: TokenManager, clock: FrozenClock
    ) -> None:
        """The exchanged token's subject has the very octets of the session."""
        slots = {name: manager.slot(key) for name, key in KEYS.items()}
        for slot in slots.values():
            slot.held = lasting(clock)
        manager.drop(lambda key: isinstance(key, DelegatedKey), own=b"s" * 32)

        assert [name for name, slot in slots.items() if slot.held is None] == ["a person"]

    def test_one_lock_for_each_session_as_long_as_somebody_has_it(
        self, manager: TokenManager
    ) -> None:
        person = KEYS["a person"]
        mine = manager.session_lock(person)

        assert manager.session_lock(replace(person)) is mine
        assert manager.session_lock(replace(person, session=b"t" * 32)) is not mine
        del mine
        gc.collect()
        assert len(manager._locks) == 0


def _nothing() -> None:
    pass


class Asking:
    """Needs a token for every event, as one that reports over HTTP does."""

    def __init__(self) -> None:
        self.ask: Callable[[], None] = _nothing
        self.heard: list[str] = []

    def emit(self, event: Event) -> None:
        self.heard.append(event.name)
        ask, self.ask = self.ask, _nothing
        ask()


@pytest.mark.parametrize("works", [True, False])
def test_whoever_takes_events_may_ask_for_another_token(clock: FrozenClock, works: bool) -> None:
    """All slots have one lock: it must not be held while somebody else's code runs."""
    events = Asking()
    manager = TokenManager(clock=clock, events=events)
    got: list[object] = []

    def acquire() -> Acquired:
        if not works:
            raise AuthorityUnavailable("down")
        return lasting(clock)

    def ask() -> None:
        other = manager.slot(replace(APPLICATION, client_id="another"))
        got.append(manager.get(other, lambda: lasting(clock)))

    events.ask = ask
    caller = threading.Thread(target=lambda: got.append(_outcome(manager, acquire)), daemon=True)
    caller.start()
    caller.join(10)
    manager.close()

    assert [type(one) for one in got] == [Secret, Secret if works else AuthorityUnavailable]
    assert len(events.heard) == 2


def _outcome(manager: TokenManager, acquire: Any) -> object:
    try:
        return manager.get(manager.slot(APPLICATION), acquire)
    except AuthorityUnavailable as failure:
        return failure
