"""The ID token: OIDC Core §2, OIDC Core §3.1.3.7, check by check."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.jose.forge import ES256, signed

from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.errors import JoseError
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.protocol.id_token import (
    IdToken,
    at_hash_of,
    check_id_token,
    mint_id_token,
    read_id_token_hint,
)
from mintmark.secret import Secret

NOW = datetime(2027, 1, 1, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
NONCE = Secret("nonce-of-this-test-and-of-no-other")
ACCESS = Secret("an-access-token-of-this-test")
HONEST: dict[str, Any] = {
    "iss": "https://id.example", "sub": "alice", "aud": "web", "exp": SECONDS + 300,
    "iat": SECONDS, "nonce": NONCE.reveal(), "auth_time": SECONDS - 60,
}  # fmt: skip


def check(token: str, **changes: Any) -> IdToken:
    settings: dict[str, Any] = {
        "issuer": "https://id.example", "client_id": "web", "keys": KeySet.of(ES256.public),
        "algorithms": ALL_ALGORITHMS, "nonce": NONCE, "now": NOW,
    }  # fmt: skip
    return check_id_token(Secret(token), **(settings | changes))


def changed(**members: Any) -> str:
    return signed({k: v for k, v in (HONEST | members).items() if v is not None}, typ="JWT")


class TestChecks:
    """OIDC Core §3.1.3.7 (2) to (13)."""

    def test_what_we_mint_is_accepted(self) -> None:
        token = mint_id_token(
            iss="https://id.example", sub="alice", aud="web", nonce=NONCE.reveal(), sid="s",
            auth_time=NOW, access_token=ACCESS, now=NOW, lifetime=timedelta(minutes=5),
            key=ES256, amr=("pwd",), extra={"name": "Alice"},
        )  # fmt: skip

        checked = check(token.reveal(), access_token=ACCESS, max_age=timedelta(0))

        assert (checked.sub, checked.sid, checked.amr) == ("alice", "s", ("pwd",))
        assert checked.claims["name"] == "Alice"

    @pytest.mark.parametrize(
        "members",
        [
            pytest.param({"iss": "https://id.example/"}, id="(2)"),
            pytest.param({"aud": "other"}, id="(3)"),
            pytest.param({"aud": None}, id="(3)-missing"),
            pytest.param({"aud": ["web", "other"]}, id="(4)-no-azp"),
            pytest.param({"azp": "other"}, id="(5)"),
            pytest.param({"exp": SECONDS - 30}, id="(9)-on-the-second"),
            pytest.param({"exp": None}, id="(9)-missing"),
            pytest.param({"iat": SECONDS + 3600}, id="(10)"),
            pytest.param({"nonce": "another"}, id="(11)"),
            pytest.param({"nonce": None}, id="(11)-missing"),
            pytest.param({"sub": None}, id="sub-missing"),
            pytest.param({"sub": "ä"}, id="sub-not-ASCII"),
            pytest.param({"sub": "a" * 256}, id="sub-too-long"),
            pytest.param({"auth_time": "x"}, id="auth_time-text"),
            pytest.param({"auth_time": 10**15}, id="auth_time-no-date"),
            pytest.param({"amr": "pwd"}, id="amr-text"),
            pytest.param({"sid": 5}, id="sid-number"),
        ],
    )
    def test_a_wrong_claim_is_refused(self, members: dict[str, Any]) -> None:
        with pytest.raises(JoseError):
            check(changed(**members))

    def test_the_second_before_the_end_is_accepted(self) -> None:
        assert check(changed(exp=SECONDS - 29, iat=SECONDS - 60)).sub == "alice"

    def test_several_audiences_with_the_right_azp_are_accepted(self) -> None:
        assert check(changed(aud=["web", "other"], azp="web")).aud == ("web", "other")

    def test_another_algorithm_or_key_is_refused(self) -> None:
        with pytest.raises(JoseError):
            check(changed(), algorithms=frozenset({Algorithm.RS256}))
        with pytest.raises(JoseError):
            check(changed(), keys=KeySet.of(SigningKey.generate(Algorithm.ES256).public))
        with pytest.raises(JoseError):
            check(signed(HONEST, typ="at+jwt"))

    @pytest.mark.parametrize(("age", "lives"), [(60 + 30, True), (60 + 31, False)])
    def test_max_age_holds_on_the_second(self, age: int, *, lives: bool) -> None:
        """OIDC Core §3.1.3.7 (13): the sign-in may be a minute old, and clocks half a minute off."""
        token = changed(auth_time=SECONDS - age)

        if lives:
            assert check(token, max_age=timedelta(seconds=60)).sub == "alice"
        else:
            with pytest.raises(JoseError):
                check(token, max_age=timedelta(seconds=60))
        with pytest.raises(JoseError):
            check(changed(auth_time=None), max_age=timedelta(seconds=60))

    def test_at_hash_belongs_to_its_access_token(self) -> None:
        """OIDC Core §3.1.3.6, OIDC Core §3.1.3.8."""
        token = changed(at_hash=at_hash_of(ACCESS, Algorithm.ES256))

        assert check(token, access_token=ACCESS).sub == "alice"
        with pytest.raises(JoseError):
            check(token, access_token=Secret("another-access-token-than-that"))

    def test_at_hash_is_the_left_half_of_the_right_hash(self) -> None:
        for algorithm, name in (
            (Algorithm.ES256, "sha256"),
            (Algorithm.PS384, "sha384"),
            (Algorithm.EDDSA, "sha512"),
        ):
            digest = hashlib.new(name, ACCESS.reveal().encode()).digest()
            half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")
            assert at_hash_of(ACCESS, algorithm) == half

    def test_a_refreshed_token_has_no_nonce(self) -> None:
        """OIDC Core §12.2."""
        assert check(changed(nonce=None), nonce=None).sub == "alice"
        with pytest.raises(JoseError):
            check(changed(), nonce=None)


class TestHint:
    """OIDC RP-Initiated Logout §2: a hint is ours, however old."""

    def test_an_expired_token_of_ours_is_a_hint(self) -> None:
        hint = self.read(changed(exp=SECONDS - 10**7, iat=SECONDS - 10**7 - 300))

        assert hint.sub == "alice"

    @pytest.mark.parametrize(
        "token", [changed(iss="https://evil.example"), "a.b.c", signed(HONEST, typ="at+jwt")]
    )
    def test_anything_else_is_none(self, token: str) -> None:
        with pytest.raises(JoseError):
            self.read(token)

    def read(self, token: str) -> IdToken:
        return read_id_token_hint(
            Secret(token), issuer="https://id.example", keys=KeySet.of(ES256.public),
            algorithms=ALL_ALGORITHMS,
        )  # fmt: skip
