"""The short way through the guard: a token is proved there without waiting for anybody.

It says what the long way says, and whoever needs more than a signature goes the long way.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.api.conftest import API, bearer, request_with, who

from mintmark.api import AUTHENTICATED, Caller, DenyList, Gate, TrustedIssuer, scope
from mintmark.api.events import RequestRefused
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.decryption_keys import DecryptionKey, DecryptionKeys
from mintmark.jose.jws import sign
from mintmark.jose.key_management import KeyManagement
from mintmark.jose.keys import SigningKey, VerificationKey
from mintmark.testing import FakeAuthority, FrozenClock

Call = Callable[..., Any]
Headers = list[tuple[bytes, bytes]]


class _Seen:
    """Events, as somebody gets them who keeps them all."""

    def __init__(self) -> None:
        self.refused: list[RequestRefused] = []

    def emit(self, event: object) -> None:
        if isinstance(event, RequestRefused):
            self.refused.append(event)


class _Nobody(DenyList):
    """Denies nobody. Whoever has a list at all goes the long way with every request."""

    async def require_not_denied(self, caller: Caller, *, now: float) -> Caller:
        del now
        return caller


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[None]]:
    """How often a signature was looked at meanwhile."""
    seen: list[None] = []
    verify = VerificationKey.verify

    def counting(self: VerificationKey, *of: Any) -> None:
        seen.append(None)
        verify(self, *of)

    with monkeypatch.context() as patch:
        patch.setattr(VerificationKey, "verify", counting)
        yield seen


def _no_signature(authority: FakeAuthority) -> bytes:
    return authority.access_token().reveal().rpartition(".")[0].encode() + b"."


def _changed(authority: FakeAuthority) -> bytes:
    signed, _, signature = authority.access_token().reveal().rpartition(".")
    return f"{signed}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}".encode()


def _good(authority: FakeAuthority, **how: Any) -> bytes:
    return authority.access_token(**how).reveal().encode()


def _old(authority: FakeAuthority, seconds: int) -> bytes:
    now = int(authority.clock.timestamp())
    times = {"iat": now - 3_600, "exp": now - seconds}
    return _signed(authority, times)


def _signed(authority: FakeAuthority, changes: dict[str, Any], typ: str = "at+jwt") -> bytes:
    now = int(authority.clock.timestamp())
    claims = {
        "iss": authority.issuer,
        "sub": "client",
        "aud": API,
        "client_id": "client",
        "iat": now,
        "exp": now + 300,
        "jti": "one",
    }
    return sign(msgspec.json.encode(claims | changes), authority.key, typ=typ).encode()


def _stranger(authority: FakeAuthority, kid: str) -> bytes:
    other = SigningKey.generate(Algorithm.ES256, kid)
    was, authority.key = authority.key, other
    try:
        return _good(authority)
    finally:
        authority.key = was


ACTORS: dict[str, Any] = {"sub": "a"}
for _ in range(9):
    ACTORS = {"sub": "a", "act": ACTORS}

TOKENS: dict[str, Callable[[FakeAuthority], bytes]] = {
    "good": _good,
    "with everything a caller can have": lambda one: _signed(
        one,
        {
            "acr": "phr",
            "amr": ["pwd"],
            "auth_time": 5,
            "roles": ["a"],
            "groups": ["b"],
            "act": {"sub": "x"},
            "authorization_details": [{"type": "payment"}],
            "aud": [API, "https://other.example"],
        },
    ),
    "in its last seconds of grace": lambda one: _old(one, 29),
    "over": lambda one: _old(one, 30),
    "not yet": lambda one: _signed(one, {"nbf": int(one.clock.timestamp()) + 100}),
    "for somebody else": lambda one: _signed(one, {"aud": "https://other.example"}),
    "of somebody else": lambda one: _signed(one, {"iss": "https://other.example"}),
    "of nobody": lambda one: _signed(one, {"iss": 5}),
    "of another kind": lambda one: _signed(one, {}, typ="jwt"),
    "changed": _changed,
    "without a signature": _no_signature,
    "of an unknown key": lambda one: _stranger(one, "unknown"),
    "of a key that has another's name": lambda one: _stranger(one, one.key.kid),
    "bound to a key": lambda one: _signed(one, {"cnf": {"jkt": "a" * 43}}),
    "bound to nothing known": lambda one: _signed(one, {"cnf": {"x": "y"}}),
    "bound to null": lambda one: _signed(one, {"cnf": None}),
    "of too many actors": lambda one: _signed(one, {"act": ACTORS}),
    "roles that are none": lambda one: _signed(one, {"roles": "admin"}),
    "groups that are null": lambda one: _signed(one, {"groups": None}),
    "acr that is none": lambda one: _signed(one, {"acr": 5}),
    "sub that is none": lambda one: _signed(one, {"sub": True}),
    "scope that is none": lambda one: _signed(one, {"scope": None}),
    "opaque": lambda _: b"opaque",
    "dots": lambda _: b"..",
    "more dots": lambda _: b"a.b.c.d",
    "encrypted": lambda _: b"eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..a.b.c",
    "with a blank behind it": lambda one: _good(one) + b" ",
    "in two parts": lambda one: _good(one).replace(b".", b" ", 1),
    "padded": lambda one: _good(one) + b"=",
    "empty": lambda _: b"",
    "endless": lambda _: b"a" * 17_000,
}


class TestItSaysWhatTheLongWaySays:
    @pytest.mark.parametrize("kind", sorted(TOKENS))
    async def test_of_every_kind_of_token(
        self, kind: str, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        authority.clock = clock
        headers = [(b"authorization", b"Bearer " + TOKENS[kind](authority))]

        short = await _answers(authority, clock, headers, None)
        long = await _answers(authority, clock, headers, _Nobody())

        assert short == long
        assert ("let in" in short[0]) is (
            kind in {"good", "with everything a caller can have", "in its last seconds of grace"}
        )


async def _answers(
    authority: FakeAuthority, clock: FrozenClock, headers: Headers, deny_list: DenyList | None
) -> list[Any]:
    """What comes of the same request three times, and what the log says of it."""
    events = _Seen()
    gate = Gate(
        API,
        issuers=[TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)],
        clock=clock,
        events=events,
        deny_list=deny_list,
    )
    said: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        said.append(("let in", repr(scope["state"]["mintmark.caller"])))
        await who(scope, receive, send)

    async def send(message: Any) -> None:
        said.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    app = gate.wrap(application, {"/": AUTHENTICATED})
    # The keys are at hand before, or the first request would go the long way for them.
    (entry,) = gate.admission.validator.issuers.entries()
    await entry.keys_at(clock.timestamp())
    for _ in range(3):
        await app({"type": "http", "method": "GET", "path": "/", "headers": headers}, receive, send)
    gate.close()
    return [said[0] if said else None, *said, *events.refused]


class TestItAsksOnce:
    @pytest.mark.parametrize("kind", ["changed", "over", "of a key that has another's name"])
    async def test_a_signature_that_is_refused_is_looked_at_once(
        self,
        kind: str,
        gate: Gate,
        call: Call,
        authority: FakeAuthority,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (entry,) = gate.admission.validator.issuers.entries()
        await entry.keys_at(gate.clock.timestamp())
        headers = bearer(TOKENS[kind](authority).decode())

        with counted(monkeypatch) as seen:
            answered = await call(headers)

        assert (answered.status_code, len(seen)) == (401, 1)

    async def test_a_good_one_once_also_where_the_policy_refuses(
        self, call: Call, authority: FakeAuthority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert (await call(bearer(authority.access_token()))).status_code == 200
        headers = bearer(authority.access_token())

        with counted(monkeypatch) as seen:
            answered = [(await call(headers, policy=scope("more"))).status_code for _ in range(3)]

        assert (answered, len(seen)) == ([403, 403, 403], 1)

    async def test_it_is_proved_anew_after_its_minute(
        self,
        call: Call,
        authority: FakeAuthority,
        clock: FrozenClock,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        headers = bearer(authority.access_token())
        with counted(monkeypatch) as seen:
            assert (await call(headers)).status_code == 200
            clock.advance(timedelta(seconds=59.9))
            assert (await call(headers)).status_code == 200
            assert len(seen) == 1
            clock.advance(timedelta(seconds=0.1))
            assert (await call(headers)).status_code == 200

        assert len(seen) == 2


class TestAKeyIsWithdrawn:
    async def test_what_was_proved_at_once_ends_with_it(
        self, gate: Gate, call: Call, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        assert (await call(bearer(authority.access_token()))).status_code == 200
        headers = bearer(authority.access_token())
        assert (await call(headers)).status_code == 200

        authority.rotate_key(keep_old=False)
        (entry,) = gate.admission.validator.issuers.entries()
        await entry.fresher_keys(entry.keys.require(), clock.timestamp() + 31)

        assert (await call(headers)).status_code == 401


async def _as_before(caller: Caller) -> Caller:
    return caller


class TestWhoGoesIt:
    """Said by the gate itself: only a request that asks nobody is let in without waiting."""

    @pytest.mark.parametrize(
        ("settings", "encryption", "goes"),
        [
            ({}, "accept", True),
            ({}, "require", False),
            ({"transform": _as_before}, "accept", False),
            ({"deny_list": _Nobody()}, "accept", False),
        ],
        ids=["a plain gate", "encrypted ones alone", "a transformation", "a deny list"],
    )
    async def test_a_new_token(
        self,
        settings: dict[str, Any],
        encryption: Any,
        goes: bool,
        authority: FakeAuthority,
        clock: FrozenClock,
    ) -> None:
        authority.clock = clock
        issuer = TrustedIssuer(
            issuer=authority.issuer, audience=API, policy=authority.policy, encryption=encryption
        )
        keys = (
            DecryptionKeys.of(DecryptionKey.generate(KeyManagement.ECDH_ES))
            if encryption == "require"
            else None
        )
        gate = Gate(API, issuers=[issuer], clock=clock, decrypt_with=keys, **settings)
        now = clock.timestamp()
        asked = request_with([(b"authorization", b"Bearer " + _good(authority))])
        assert gate.admission.admitted_at_once(asked, now) is None  # no key is there yet

        (entry,) = gate.admission.validator.issuers.entries()
        await entry.keys_at(now)

        assert (gate.admission.admitted_at_once(asked, now, prove=False)) is None
        assert (gate.admission.admitted_at_once(asked, now) is not None) is goes
        gate.close()
