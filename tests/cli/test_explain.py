"""`mintmark explain`: every kind of token in words, and nothing of it that could be used."""

from datetime import timedelta
from pathlib import Path

import pytest
from tests.cli.profile import API, STATUS_REFUSED, STATUS_TOKEN, Profile, one_line
from tests.jose import forge

from mintmark.cli.anatomy import describe
from mintmark.jose.content_encryption import ContentEncryption
from mintmark.protocol.client_assertion import make_client_assertion
from mintmark.protocol.dpop import make_proof
from mintmark.protocol.id_token import mint_id_token
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile(tmp_path)


def words(token: Secret | str, now: float = 1_700_000_000) -> str:
    secret = token if isinstance(token, Secret) else Secret(token)
    text = "\n".join(describe(secret, now))
    # Checked for all of them: neither the token nor its signature.
    assert secret.reveal() not in text
    signature = secret.reveal().rpartition(".")[2]
    assert len(signature) < 20 or signature not in text
    return text


class TestKinds:
    def test_an_access_token(self, authority: FakeAuthority) -> None:
        assert "an access token (RFC 9068)" in words(authority.access_token())

    def test_an_id_token(self, clock: FrozenClock) -> None:
        token = mint_id_token(
            iss="https://id.example", sub="alice", aud="shop", nonce="n", auth_time=clock.now(),
            sid="s", access_token=Secret("x"), now=clock.now(), lifetime=timedelta(minutes=5),
            key=forge.ES256,
        )  # fmt: skip

        assert "kind      an ID token" in words(token)

    def test_a_proof(self, clock: FrozenClock) -> None:
        proof = make_proof(key=forge.ES256, htm="GET", htu=f"{API}/x", now=clock.now())

        assert "a DPoP proof (RFC 9449)" in words(proof)

    def test_a_client_assertion_with_and_without_its_type(self, clock: FrozenClock) -> None:
        """RFC 7523 §3: the client speaks of itself."""
        named = make_client_assertion(
            client_id="shop", audience="https://id.example", key=forge.ES256, now=clock.timestamp()
        )
        claims = {"iss": "shop", "sub": "shop", "aud": "https://id.example", "jti": "1"}

        assert "a client assertion" in words(named)
        assert "a client assertion (RFC 7523)" in words(forge.signed(claims, typ="JWT"))

    @pytest.mark.parametrize(
        ("typ", "claims", "kind"),
        [
            ("logout+jwt", {}, "a logout token"),
            ("application/AT+JWT", {}, "an access token"),
            (None, {"events": {}}, "a logout token"),
            (None, {"sub": "alice", "iss": "https://id.example"}, "does not say what it is"),
            (5, {}, "does not say what it is"),
        ],
    )
    def test_others(self, typ: object, claims: dict[str, object], kind: str) -> None:
        assert kind in words(forge.signed(claims, typ=typ))

    def test_an_encrypted_one(self) -> None:
        header = forge.segment(b'{"alg":"RSA-OAEP-256","enc":"A256GCM","kid":"k1"}')
        text = words(f"{header}.{'a' * 24}.{'b' * 16}.{'c' * 24}.{'d' * 24}")

        assert "kind      encrypted" in text
        assert ContentEncryption("A256GCM").value in text
        assert "cccc" not in text

    def test_an_opaque_one(self) -> None:
        text = words(Secret("mF_9.B5f-4.1JqM-0123456789")), words(Secret("a" * 43))

        assert "unreadable" in text[0]
        assert "opaque" in text[1]
        assert "43 characters" in text[1]

    @pytest.mark.parametrize("token", ["..", "a.b.c", "....", "e30.e30", "e30.W10.x", "é.é.é"])
    def test_what_is_nothing(self, token: str) -> None:
        assert "unreadable" in words(token) or "opaque" in words(token)

    def test_a_token_that_nobody_signed(self) -> None:
        header, claims = forge.segment(b'{"alg":"none"}'), forge.segment(b'{"sub":"a"}')
        token = f"{header}.{claims}."

        assert "anybody can write this" in words(token)
        assert '"none"' in words(token)


class TestValues:
    def test_times_in_words(self) -> None:
        claims = {"iat": 1_700_000_000 - 60, "exp": 1_700_000_000 + 3600, "nbf": "soon",
                  "auth_time": True, "updated_at": 1e300}  # fmt: skip
        text = words(forge.signed(claims))

        assert "2023-11-14T23:13:20Z (in 1 hour)" in text
        assert "2023-11-14T22:12:20Z (1 minute ago)" in text
        assert text.count("(no date)") == 3

    def test_nothing_moves_the_cursor_or_starts_a_line(self) -> None:
        text = words(forge.signed({"sub": "a\n\x1b[2Jb\u202e", "x\x1by": 1}))

        assert "\x1b" not in text
        assert "\u202e" not in text
        assert r"\n\u001b[2Jb\u202e" in text

    def test_a_token_inside_is_not_shown(self, authority: FakeAuthority) -> None:
        inner = authority.access_token()
        text = words(forge.signed({"actor_token": inner.reveal(), "deep": [inner.reveal()]}))

        assert text.count("a token, not shown") == 2
        assert inner.reveal() not in text

    def test_a_private_key_is_not_shown(self) -> None:
        text = words(forge.signed({"sub": "a"}, jwk={"kty": "EC", "crv": "P-256", "d": "9" * 40}))

        assert "9" * 40 not in text
        assert "P-256" in text

    def test_a_name_of_a_host_is(self) -> None:
        assert "orders-api.eu.example.com" in words(
            forge.signed({"h": "orders-api.eu.example.com"})
        )

    def test_a_long_value_is_cut(self) -> None:
        assert len(words(forge.signed({"sub": "a" * 5000}))) < 1000


class TestCommand:
    def test_from_standard_input_or_the_command_line(
        self, profile: Profile, authority: FakeAuthority
    ) -> None:
        token = authority.access_token().reveal()
        piped = profile.run("explain", "-", text=f"Authorization: Bearer {token}\n")
        given = profile.run("explain", token)

        assert piped.returncode == given.returncode == 0
        assert "an access token" in piped.stdout
        assert piped.stderr == ""
        assert "others on this machine" in given.stderr
        for said in (piped.stdout, given.stdout, given.stderr):
            assert token.rpartition(".")[2] not in said

    def test_an_api_that_would_take_it_and_one_that_would_not(
        self, profile: Profile, authority: FakeAuthority
    ) -> None:
        token = authority.access_token(extra={"cnf": {"jkt": "a" * 43}}).reveal()
        options = ("--issuer", authority.issuer, "--insecure-allow-http-on-loopback")
        taken = profile.good("explain", "-", "--resource", API, *options, text=token)
        other = profile.run("explain", "-", "--resource", "https://b.example", *options, text=token)

        assert "=> accepted" in taken
        assert "each request has to show jkt" in taken
        one_line(other, STATUS_REFUSED, "401", "aud does not name this API")

    def test_an_issuer_that_is_away(self, profile: Profile, authority: FakeAuthority) -> None:
        authority.down = True
        done = profile.run(
            "explain", "-", "--resource", API, "--issuer", authority.issuer,
            "--insecure-allow-http-on-loopback", text=authority.access_token().reveal(),
        )  # fmt: skip

        one_line(done, STATUS_REFUSED, "503")

    def test_s49_development_tokens_before_and_after_the_reset(self, profile: Profile) -> None:
        token = profile.token("--project", "orders")
        ask = ("explain", "-", "--resource", API, "--development", "--project", "orders")
        assert "=> accepted" in profile.good(*ask, text=token)
        profile.good("token", "key", "reset", "--project", "orders")
        one_line(profile.run(*ask, text=token), STATUS_REFUSED, "no key has this kid")
        profile.environment["MINTMARK_ENVIRONMENT"] = "production"

        one_line(profile.run(*ask, text=token), STATUS_TOKEN, "production")

    @pytest.mark.parametrize(
        "options",
        [
            ["--resource", API],
            ["--issuer", "https://id.example"],
            ["--development"],
            ["--resource", API, "--issuer", "http://id.example"],
            ["--resource", API, "--development", "--project", "../x"],
        ],
        ids=" ".join,
    )
    def test_options_that_do_not_fit(self, profile: Profile, options: list[str]) -> None:
        one_line(profile.run("explain", "-", *options, text="abc"), STATUS_TOKEN)

    @pytest.mark.parametrize("text", ["", " \n", "Bearer ", "a" * 70_000])
    def test_no_token(self, profile: Profile, text: str) -> None:
        one_line(profile.run("explain", "-", text=text), STATUS_TOKEN, "no token here")

    def test_bytes_that_are_no_text(self, profile: Profile) -> None:
        assert "opaque" in profile.good("explain", "-", text=b"\xff\xfe\x00abc")
