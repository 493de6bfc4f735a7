"""J, the other half: proofs used again, quotas, and nonces (RFC 9449 §8, §9, §11.1)."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from mintmark.testing.attacks.dpop import KEY, OTHER, PROOFS, honest_proof, sent_with
from mintmark.testing.attacks.model import (
    ACCEPTED,
    R4,
    R5,
    R7,
    Flood,
    Request,
    Send,
    Setting,
    Variant,
)
from mintmark.testing.attacks.trying import honest, wait
from mintmark.testing.proofs import ProofKey

if TYPE_CHECKING:
    from mintmark.testing.mint import Mint

__all__ = ["REPLAYS"]

REPLAYS = PROOFS


def _proof(mint: "Mint", text: str, key: ProofKey = KEY, **changes: Any) -> str:
    return key.proof("GET", mint.url(), now=mint.now, token=text, **changes)


@REPLAYS.attack("J19", "a proof used twice", R4)
def used_twice(mint: "Mint") -> Iterator[Variant]:
    request = mint.ask(mint.delegated().dpop(KEY))
    steps = (Send(request, ACCEPTED, "the first time"), Send(request), Send(request))
    yield Variant(name="at once", steps=steps, twin=honest_proof(mint), setting=Setting.DPOP)
    later = (Send(request, ACCEPTED), wait(seconds=50), Send(request))
    yield Variant(name="later", steps=later, twin=honest_proof(mint), setting=Setting.DPOP)


@REPLAYS.attack("J20", "a proof used many times at once", R4)
def used_in_parallel(mint: "Mint") -> Iterator[Variant]:
    request = mint.ask(mint.delegated().dpop(KEY))
    steps = (Send(request, times=50, accepted=1),)
    yield Variant(name="fifty", steps=steps, twin=honest_proof(mint), setting=Setting.DPOP)


@REPLAYS.attack("J21", "somebody else's proof of the same name", ACCEPTED)
def same_name(mint: "Mint") -> Iterator[Variant]:
    theirs, ours = mint.delegated("mallory").dpop(OTHER).text, mint.delegated().dpop(KEY).text
    first = sent_with(theirs, _proof(mint, theirs, OTHER, jti="a name"))
    second = sent_with(ours, _proof(mint, ours, KEY, jti="a name"))
    steps = (Send(first, name="theirs"), Send(second, name="ours"))
    yield Variant(name="one after the other", steps=steps, setting=Setting.DPOP)


@REPLAYS.attack("J22", "a good proof after a bad one of the same name", ACCEPTED)
def after_a_bad_one(mint: "Mint") -> Iterator[Variant]:
    changes: dict[str, dict[str, Any]] = {
        "ath": {"ath": "x" * 43},
        "htm": {"htm": "POST"},
        "iat": {"iat": 1},
    }
    for name, change in changes.items():
        text = mint.delegated().dpop(KEY).text
        bad = sent_with(text, _proof(mint, text, jti=f"after {name}", **change))
        good = sent_with(text, _proof(mint, text, jti=f"after {name}"))
        yield Variant(name=name, steps=(Send(bad, R4), Send(good)), setting=Setting.DPOP)


@REPLAYS.attack("J23", "more proofs of one key than anybody needs", R4)
def too_many(mint: "Mint") -> Iterator[Variant]:
    text = mint.delegated().dpop(KEY).text

    def make(number: int) -> Request:
        del number
        return sent_with(text, _proof(mint, text))

    steps = (Flood(make, mint.proofs_per_key, ACCEPTED), Flood(make, 50))
    twin = (Send(lambda: mint.ask(mint.delegated().dpop(OTHER))), wait(minutes=5),
            Send(lambda: mint.ask(mint.delegated().dpop(KEY))))  # fmt: skip
    yield Variant(name="a flood", steps=steps, twin=twin, setting=Setting.DPOP)


@REPLAYS.attack("J24", "nobody can say whether a proof was used before", R7)
def store_down(mint: "Mint") -> Iterator[Variant]:
    request = mint.ask(mint.delegated().dpop(KEY))
    # Tokens that need no proof are no worse off.
    yield Variant(name="refuse", steps=(Send(request),), setting=Setting.DPOP_STORE_DOWN,
                  twin=(honest(mint),))  # fmt: skip


def _with_nonce(mint: "Mint", nonce: Callable[[], str]) -> Callable[[], Request]:
    def make() -> Request:
        text = mint.delegated().dpop(KEY).text
        return sent_with(text, _proof(mint, text, nonce=nonce()))

    return make


def _given(mint: "Mint", place: int) -> str:
    """A nonce that this API gave out; one that is nobody's where it gave none."""
    return mint.nonces[place] if mint.nonces else "0" * 32


def _ask_for_nonce(mint: "Mint") -> Send:
    return Send(lambda: mint.ask(mint.delegated().dpop(KEY)), R5, "without one")


def _nonce_twin(mint: "Mint") -> tuple[Send, ...]:
    return (_ask_for_nonce(mint), Send(_with_nonce(mint, lambda: _given(mint, -1)), ACCEPTED))


@REPLAYS.attack("J25", "no nonce, or a wrong one", R5)
def wrong_nonce(mint: "Mint") -> Iterator[Variant]:
    bad: dict[str, Callable[[], str]] = {
        "foreign": lambda: "x" * 32,
        "empty": lambda: "",
        "tampered": lambda: ("A" if _given(mint, -1)[0] != "A" else "B") + _given(mint, -1)[1:],
        "cut": lambda: _given(mint, -1)[:-1],
        "longer": lambda: _given(mint, -1) + "A",
        "of another server": lambda: _given(mint, -1)[::-1],
    }
    for name, nonce in bad.items():
        steps = (_ask_for_nonce(mint), Send(_with_nonce(mint, nonce)))
        yield Variant(name=name, steps=steps, setting=Setting.DPOP_NONCE, twin=_nonce_twin(mint))
    old = (_ask_for_nonce(mint), wait(minutes=10), Send(_with_nonce(mint, lambda: _given(mint, 0))))
    yield Variant(name="expired", steps=old, setting=Setting.DPOP_NONCE, twin=_nonce_twin(mint))


@REPLAYS.attack("J26", "the nonce before the current one", ACCEPTED)
def previous_nonce(mint: "Mint") -> Iterator[Variant]:
    steps = (_ask_for_nonce(mint), wait(seconds=mint.nonce_lifetime.total_seconds()),
             Send(_with_nonce(mint, lambda: _given(mint, 0))))  # fmt: skip
    yield Variant(
        name="a generation later", steps=steps, setting=Setting.DPOP_NONCE, twin=_nonce_twin(mint)
    )
