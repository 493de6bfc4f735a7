"""DPoP as the API sees it: nonce, replay, binding; each refusal beside what is accepted."""

import asyncio
import json
import secrets
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.jose.forge import ES256, RS256, compact

from mintmark.api.dpop import DPoP, DPoPCheck, KeyMismatch, NonceNeeded, ProofRefused, ReplayUnknown
from mintmark.api.replay import Claim, MemoryReplayStore, ReplayStore, ReplayStoreUnavailable
from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.base64url import encode
from mintmark.jose.keys import SigningKey
from mintmark.protocol.dpop import DPoPProof, access_token_hash, make_proof
from mintmark.secret import Secret

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC).timestamp()
URI = "https://api.example/orders"
TOKEN = Secret("an.access.token-0123456789")
JKT = ES256.public.thumbprint()
NONCE_KEY = Secret(encode(bytes(range(32))))
NEVER = DPoP(nonce="never")
ALWAYS = DPoP(nonce="always", nonce_key=NONCE_KEY)


def made(
    key: SigningKey = ES256,
    *,
    at: float = NOON,
    jti: str | None = None,
    nonce: str | None = None,
    token: Secret | None = TOKEN,
    htm: str = "GET",
    htu: str = URI,
) -> bytes:
    """A proof as an honest client makes it, whose clock shows `at`."""
    now = datetime.fromtimestamp(at, UTC)
    proof = make_proof(key, htm=htm, htu=htu, now=now, jti=jti, access_token=token, nonce=nonce)
    return proof.reveal().encode()


async def prove(
    check: DPoPCheck, *fields: bytes, now: float = NOON, jkt: str = JKT, uri: str = URI
) -> DPoPProof:
    return await check.require_proof(
        list(fields), method="GET", uri=uri, token=TOKEN.reveal().encode(), jkt=jkt, now=now
    )


async def refusal(check: DPoPCheck, *fields: bytes, **how: Any) -> str:
    with pytest.raises(ProofRefused) as refused:
        await prove(check, *fields, **how)
    return refused.value.reason


async def nonce_from(check: DPoPCheck, *fields: bytes, **how: Any) -> str:
    """The nonce that the client is told to use."""
    with pytest.raises(NonceNeeded) as needed:
        await prove(check, *fields, **how)
    return needed.value.nonce


class Remembering:
    """A store that says what it was asked, or is down."""

    def __init__(self) -> None:
        self.inner = MemoryReplayStore()
        self.down = False
        self.asked: list[dict[str, Any]] = []

    async def claim(self, digest: bytes, **how: Any) -> Claim:
        self.asked.append(how | {"digest": digest})
        if self.down:
            raise ReplayStoreUnavailable("it is down")
        return await self.inner.claim(digest, **how)


# --- The proof itself ---------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [DPoP(), NEVER, DPoP(required=True)])
async def test_an_honest_proof_is_accepted(settings: DPoP) -> None:
    """RFC 9449 §7."""
    proof = await prove(DPoPCheck(settings), made(jti="mine"))

    assert (proof.jkt, proof.jti) == (JKT, "mine")


async def test_j03_a_bound_token_without_a_proof_is_refused() -> None:
    assert await refusal(DPoPCheck(DPoP())) == "there is no proof"


async def test_w84_a_missing_proof_is_a_refusal_and_no_failure() -> None:
    for settings in (DPoP(), NEVER, ALWAYS):
        await refusal(DPoPCheck(settings))


async def test_w86_the_first_of_two_proofs_is_not_taken() -> None:
    check, good = DPoPCheck(DPoP()), made()

    await refusal(check, good, made())
    await prove(check, good)


async def test_j07_an_algorithm_that_is_not_announced_is_refused() -> None:
    check = DPoPCheck(DPoP(algorithms=frozenset({Algorithm.ES256})))

    await refusal(check, made(RS256), jkt=RS256.public.thumbprint())
    await prove(check, made())


async def test_j10_a_thief_with_a_key_of_his_own_has_a_bad_token_and_not_a_bad_proof() -> None:
    check, thief = DPoPCheck(DPoP()), SigningKey.generate(Algorithm.ES256)

    with pytest.raises(KeyMismatch):
        await prove(check, made(thief))
    await prove(check, made())


async def test_j11_a_proof_for_no_token_or_another_is_refused() -> None:
    check = DPoPCheck(DPoP())

    for token in (None, Secret("another.access.token-0123456789")):
        assert "ath" in await refusal(check, made(token=token))
    await prove(check, made())


async def test_j16_the_uri_is_what_the_api_says_it_is() -> None:
    """The request's own word for its host never comes into it (W-88)."""
    check = DPoPCheck(DPoP())
    elsewhere = made(htu="https://evil.example/orders")

    assert "htu" in await refusal(check, elsewhere)
    await prove(check, made(htu="https://API.example:443/orders?page=1"))


async def test_s39_wrong_method_uri_and_token_are_refused_whatever_the_nonce_says() -> None:
    check = DPoPCheck(ALWAYS)
    nonce = await nonce_from(check, made())

    for bad in (made(htm="POST", nonce=nonce), made(htu=URI + "/1", nonce=nonce),
                made(token=None, nonce=nonce)):  # fmt: skip
        await refusal(check, bad)
    await prove(check, made(nonce=nonce))


# --- Time and nonces ----------------------------------------------------------------------------


@pytest.mark.parametrize("clock", [-61, 11, -600, 600])
async def test_j17_a_clock_that_is_off_is_refused_where_there_are_no_nonces(clock: float) -> None:
    assert "iat" in await refusal(DPoPCheck(NEVER), made(at=NOON + clock))


@pytest.mark.parametrize("clock", [-60, 10, 0])
async def test_j17_a_clock_that_is_a_little_off_needs_no_nonce(clock: float) -> None:
    await prove(DPoPCheck(NEVER), made(at=NOON + clock))
    await prove(DPoPCheck(DPoP()), made(at=NOON + clock))


@pytest.mark.parametrize("clock", [-61, 11, -86_400 * 365, 86_400 * 365])
async def test_j17_a_clock_that_is_off_is_healed_by_a_nonce(clock: float) -> None:
    """RFC 9449 §8, §9, §11.1: a nonce says when the proof was made, and the clock no longer does."""
    check = DPoPCheck(DPoP())

    nonce = await nonce_from(check, made(at=NOON + clock))

    await prove(check, made(at=NOON + clock, nonce=nonce))


async def test_j17_a_window_of_ones_own_is_kept_to_the_second() -> None:
    window = (timedelta(seconds=20), timedelta(seconds=3))
    check = DPoPCheck(DPoP(nonce="never", window=window))

    for clock in (-20, 3):
        await prove(check, made(at=NOON + clock))
    for clock in (-21, 4):
        assert "iat" in await refusal(check, made(at=NOON + clock))


async def test_j25_where_nonces_are_required_a_proof_without_a_good_one_learns_one() -> None:
    """RFC 9449 §8, §4.3 (10)."""
    check = DPoPCheck(ALWAYS)
    other = DPoPCheck(DPoP(nonce="always", nonce_key=Secret(encode(bytes(32)))))
    foreign = await nonce_from(other, made())
    nonce = await nonce_from(check, made())

    for bad in (None, foreign, nonce[:-1], nonce.swapcase(), ""):
        assert await nonce_from(check, made(nonce=bad)) == nonce
    await prove(check, made(nonce=nonce))


async def test_j25_a_nonce_ends() -> None:
    check = DPoPCheck(ALWAYS)
    nonce = await nonce_from(check, made())

    renewed = await nonce_from(check, made(at=NOON + 120, nonce=nonce), now=NOON + 120)

    assert renewed != nonce
    await prove(check, made(at=NOON + 120, nonce=renewed), now=NOON + 120)


async def test_j25_a_bad_nonce_is_renewed_even_where_none_is_required() -> None:
    check = DPoPCheck(DPoP())

    nonce = await nonce_from(check, made(nonce="of another server"))

    await prove(check, made(nonce=nonce))
    await prove(check, made())


async def test_j26_the_previous_nonce_is_accepted() -> None:
    check = DPoPCheck(ALWAYS)
    nonce = await nonce_from(check, made())

    for later in (59, 60, 119):
        await prove(check, made(at=NOON + later, nonce=nonce), now=NOON + later)


async def test_without_nonces_the_one_in_a_proof_does_not_count() -> None:
    check = DPoPCheck(NEVER)

    await prove(check, made(nonce="of another server"))
    assert "iat" in await refusal(check, made(at=NOON - 61, nonce="of another server"))


async def test_j25_processes_with_one_key_take_each_others_nonces() -> None:
    one, other = DPoPCheck(ALWAYS), DPoPCheck(ALWAYS)

    await prove(other, made(nonce=await nonce_from(one, made())))


async def test_without_a_key_each_process_makes_its_own() -> None:
    one, other = DPoPCheck(DPoP(nonce="always")), DPoPCheck(DPoP(nonce="always"))
    nonce = await nonce_from(one, made())

    assert await nonce_from(other, made(nonce=nonce)) != nonce
    await prove(one, made(nonce=nonce))


async def test_a_nonce_that_is_about_to_turn_is_renewed_with_a_successful_answer() -> None:
    """RFC 9449 §8.2: nobody has to repeat a request."""
    check = DPoPCheck(ALWAYS)
    nonce = await nonce_from(check, made())
    proof = await prove(check, made(nonce=nonce))

    assert check.fresh_nonce(NOON, proof) is None
    assert check.fresh_nonce(NOON + 59, proof) is None
    renewed = check.fresh_nonce(NOON + 60, proof)
    assert renewed not in {None, nonce}
    await prove(check, made(at=NOON + 120, nonce=renewed), now=NOON + 120)


async def test_a_client_that_needs_no_nonce_is_given_none() -> None:
    proof = await prove(DPoPCheck(NEVER), made())

    assert DPoPCheck(NEVER).fresh_nonce(NOON, proof) is None
    assert DPoPCheck(DPoP()).fresh_nonce(NOON, proof) is None
    assert DPoPCheck(DPoP()).fresh_nonce(NOON) is None
    assert DPoPCheck(ALWAYS).fresh_nonce(NOON) is not None


@pytest.mark.parametrize("settings", [DPoP(), NEVER, ALWAYS])
async def test_j28_a_proof_that_says_it_is_over_is_over(settings: DPoP) -> None:
    """No nonce heals that (RFC 7519 §4.1.4)."""
    check = DPoPCheck(settings)
    nonce = check.fresh_nonce(NOON)

    over, good = (_with_exp(nonce, exp) for exp in (int(NOON), int(NOON) + 1))

    assert "exp" in await refusal(check, over)
    await prove(check, good)


def _with_exp(nonce: str | None, exp: int) -> bytes:
    """The client does not write `exp`, so this proof is made by hand."""
    jwk = {n: v for n, v in ES256.public.to_jwk().items() if n in {"kty", "crv", "x", "y"}}
    claims = {
        "jti": secrets.token_urlsafe(16),
        "htm": "GET",
        "htu": URI,
        "iat": int(NOON),
        "exp": exp,
        "ath": access_token_hash(TOKEN.reveal().encode()),
    } | ({"nonce": nonce} if nonce is not None else {})
    header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}
    return compact(header, json.dumps(claims).encode()).encode()


# --- Replay -------------------------------------------------------------------------------------


async def test_j19_a_proof_is_good_once() -> None:
    """RFC 9449 §11.1."""
    check, proof = DPoPCheck(DPoP()), made()

    await prove(check, proof)
    assert await refusal(check, proof) == "the proof was used before"
    await prove(check, made())


async def test_j20_of_200_parallel_uses_on_two_nodes_one_succeeds() -> None:
    shared = MemoryReplayStore()
    nodes = [DPoPCheck(DPoP(replay=shared)), DPoPCheck(DPoP(replay=shared))]
    proof = made()

    outcomes = await asyncio.gather(
        *(prove(nodes[number % 2], proof) for number in range(200)), return_exceptions=True
    )

    assert Counter(map(type, outcomes)) == {DPoPProof: 1, ProofRefused: 199}


async def test_w85_two_parallel_claims_are_decided_by_the_store_and_not_by_a_look_before() -> None:
    store, proof = Remembering(), made()
    check = DPoPCheck(DPoP(replay=store))

    outcomes = await asyncio.gather(
        prove(check, proof), prove(check, proof), return_exceptions=True
    )

    assert Counter(map(type, outcomes)) == {DPoPProof: 1, ProofRefused: 1}
    assert len(store.asked) == 2  # one step each


async def test_j21_another_client_does_not_use_up_my_jti() -> None:
    check, other = DPoPCheck(DPoP()), SigningKey.generate(Algorithm.ES256)

    await prove(check, made(other, jti="shared"), jkt=other.public.thumbprint())
    await prove(check, made(jti="shared"))
    await refusal(check, made(jti="shared"))


async def test_j22_a_proof_that_failed_does_not_use_up_the_jti_of_a_good_one() -> None:
    store = Remembering()
    check = DPoPCheck(DPoP(replay=store))

    await refusal(check, made(jti="mine", token=None))
    await refusal(check, made(jti="mine", htm="POST"))
    await nonce_from(check, made(jti="mine", at=NOON - 61))
    await refusal(check, made(SigningKey.generate(Algorithm.ES256), jti="mine"))
    assert store.asked == []

    await prove(check, made(jti="mine"))
    assert len(store.asked) == 1


async def test_j23_a_key_that_makes_too_many_proofs_is_refused_and_no_other_key() -> None:
    check = DPoPCheck(DPoP(max_proofs_per_key=3))
    other = SigningKey.generate(Algorithm.ES256)
    for _ in range(3):
        await prove(check, made())

    assert await refusal(check, made()) == "the key made too many proofs"
    await prove(check, made(other), jkt=other.public.thumbprint())
    await prove(check, made(at=NOON + 80), now=NOON + 80)


async def test_j24_while_the_store_is_down_nobody_is_let_in() -> None:
    store = Remembering()
    check = DPoPCheck(DPoP(replay=store))

    store.down = True
    with pytest.raises(ReplayUnknown, match="down"):
        await prove(check, made())
    assert "ath" in await refusal(check, made(token=None))  # what is bad is bad all the same
    store.down = False

    await prove(check, made())


async def test_j24_who_chose_to_accept_is_told_each_time() -> None:
    store, told = Remembering(), list[str]()
    check = DPoPCheck(DPoP(replay=store, on_replay_store_failure="accept"), alarm=told.append)
    await prove(check, made())
    assert told == []

    store.down = True
    await prove(check, made())
    await prove(check, made())

    assert told == ["it is down", "it is down"]
    await refusal(check, made(token=None))


def test_j24_accepting_in_silence_cannot_be_chosen() -> None:
    with pytest.raises(ValueError, match="alarm"):
        DPoPCheck(DPoP(on_replay_store_failure="accept"))


@pytest.mark.parametrize("clock", [-60, -30, 0, 10])
async def test_s39_a_proof_is_remembered_for_as_long_as_it_could_be_used(clock: float) -> None:
    check, proof = DPoPCheck(NEVER), made(at=NOON + clock)
    await prove(check, proof)

    last = NOON + clock + 60
    assert await refusal(check, proof, now=last) == "the proof was used before"
    assert "iat" in await refusal(check, proof, now=last + 1)


async def test_s39_a_proof_with_a_nonce_is_remembered_for_as_long_as_its_nonce() -> None:
    check = DPoPCheck(ALWAYS)
    proof = made(at=NOON - 1000, nonce=await nonce_from(check, made()))
    await prove(check, proof)

    for later in (0, 60, 119.9):
        assert await refusal(check, proof, now=NOON + later) == "the proof was used before"
    await nonce_from(check, proof, now=NOON + 120)


async def test_s39_processes_whose_clocks_differ_remember_for_long_enough() -> None:
    """One is 9 seconds behind: it accepts the proof for longer than the other thinks it can."""
    store: ReplayStore = MemoryReplayStore()
    ahead, behind = (DPoPCheck(DPoP(nonce="never", replay=store)) for _ in range(2))
    proof = made()
    await prove(ahead, proof)
    other = SigningKey.generate(Algorithm.ES256)
    await prove(ahead, made(other, at=NOON + 69), now=NOON + 69, jkt=other.public.thumbprint())

    assert await refusal(behind, proof, now=NOON + 60) == "the proof was used before"


async def test_the_store_is_given_digests_and_never_a_proof_or_token() -> None:
    store, proof = Remembering(), made(jti="a jti of mine")
    await prove(DPoPCheck(DPoP(replay=store)), proof)

    (asked,) = store.asked
    assert len(asked["digest"]) == 32
    assert asked["jkt"] == JKT
    assert asked["quota"] == 1000
    assert set(asked) == {"digest", "jkt", "now", "ttl", "quota"}


# --- Settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"algorithms": frozenset()}, "algorithms"),
        ({"algorithms": frozenset({"HS256"})}, "algorithms"),
        ({"window": (timedelta(seconds=9.9), timedelta(seconds=10))}, "window: back"),
        ({"window": (timedelta(minutes=11), timedelta(seconds=10))}, "window: back"),
        ({"window": (timedelta(seconds=60), timedelta(seconds=1.9))}, "window: ahead"),
        ({"window": (timedelta(seconds=60), timedelta(seconds=61))}, "window: ahead"),
        ({"nonce": "sometimes"}, "nonce"),
        ({"nonce": "never", "nonce_key": NONCE_KEY}, "never"),
        ({"nonce_key": Secret("c2hvcnQ")}, "32 random bytes"),
        ({"nonce_key": Secret(encode(bytes(33)))}, "32 random bytes"),
        ({"nonce_key": Secret("ü" * 43)}, "32 random bytes"),
        ({"nonce_key": Secret("")}, "32 random bytes"),
        ({"on_replay_store_failure": "ignore"}, "refuse or accept"),
        ({"max_proofs_per_key": 0}, "max_proofs_per_key"),
    ],
)
def test_what_cannot_hold_is_refused_at_the_start(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DPoP(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"window": (timedelta(seconds=10), timedelta(seconds=2))},
        {"window": (timedelta(minutes=10), timedelta(minutes=1))},
        {"nonce": "always"},
        {"nonce": "always", "nonce_key": Secret(encode(bytes(32)) + "=")},
        {"nonce_key": Secret.generate()},
        {"nonce": "never", "required": True},
        {"max_proofs_per_key": 1},
    ],
)
def test_what_can_hold_is_accepted(settings: dict[str, Any]) -> None:
    DPoPCheck(DPoP(**settings))


@pytest.mark.parametrize("ahead", [0, 1])
def test_w87_a_window_for_no_honest_client_cannot_be_set(ahead: float) -> None:
    with pytest.raises(ValueError, match="window"):
        DPoP(window=(timedelta(seconds=1), timedelta(seconds=ahead)))


async def test_w87_clocks_that_differ_by_seconds_are_honest() -> None:
    check = DPoPCheck(NEVER)
    for clock in (-30, -5, -1, 1, 5):
        await prove(check, made(at=NOON + clock))


def test_the_algorithms_are_announced_in_one_order() -> None:
    """RFC 9449 §7.1: separated by blanks."""
    some = frozenset({Algorithm.RS256, Algorithm.EDDSA, Algorithm.ES256})

    assert DPoP(algorithms=some).algs == "ES256 EdDSA RS256"
    assert set(DPoP().algs.split(" ")) == {one.value for one in ALL_ALGORITHMS}


def test_the_key_of_the_nonces_is_not_shown() -> None:
    assert NONCE_KEY.reveal() not in repr(ALWAYS)
