"""Tokens bound to a key of whoever asks (RFC 9449 §5, RFC 9449 §8, RFC 9449 §10, RFC 9449 §11.1)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.server.conftest import ISSUER, SECOND, claims_of, require_refusal
from tests.server.exchanging import SETTINGS, Exchanging, opened

from mintmark.jose.algorithms import Algorithm
from mintmark.testing import FrozenClock
from mintmark.testing.proofs import ProofKey

TOKEN, USERINFO = f"{ISSUER}/token", f"{ISSUER}/userinfo"
KEY, OTHER = ProofKey.generate(), ProofKey.generate(Algorithm.EDDSA)
FORM = {"grant_type": "client_credentials", "scope": "orders.read"}
PHONE = "http://127.0.0.1/callback"


@pytest.fixture
async def server(tmp_path: Path, clock: FrozenClock) -> AsyncIterator[Exchanging]:
    async with opened(tmp_path, clock) as made:
        yield made


def proof(server: Exchanging, key: ProofKey = KEY, **changes: Any) -> str:
    made: str = key.proof("POST", TOKEN, now=server.now, token="", **changes)
    return made


async def ask(server: Exchanging, made: str, by: str = "web", /, **form: Any) -> httpx2.Response:
    return await server.post(form or FORM, by, {"dpop": made})


class TestProofs:
    @pytest.mark.parametrize("key", [KEY, OTHER], ids=["ES256", "EdDSA"])
    async def test_the_token_names_the_key_and_the_answer_the_type(
        self, server: Exchanging, key: ProofKey
    ) -> None:
        """RFC 9449 §6.1."""
        body = (await ask(server, proof(server, key))).json()

        assert body["token_type"] == "DPoP"
        assert claims_of(body["access_token"])["cnf"] == {"jkt": key.thumbprint}

    async def test_without_a_proof_it_is_a_bearer_token(self, server: Exchanging) -> None:
        body = (await server.post(FORM, "web")).json()

        assert body["token_type"] == "Bearer"
        assert "cnf" not in claims_of(body["access_token"])

    @pytest.mark.parametrize(
        "changes",
        [
            {"htm": "GET"}, {"htm": None}, {"htu": f"{ISSUER}/introspect"}, {"htu": "https://o.example/token"},
            {"htu": None}, {"jti": None}, {"jti": 1}, {"iat": None}, {"iat": "now"}, {"nonce": 1},
        ],
        ids=str,
    )  # fmt: skip
    async def test_a_proof_for_something_else_is_refused(
        self, server: Exchanging, changes: dict[str, Any]
    ) -> None:
        """RFC 9449 §4.3; the first test of this class is the honest twin."""
        answer = await ask(server, proof(server, **changes))

        require_refusal(answer, "invalid_dpop_proof")
        assert answer.json()["error_description"] == "the DPoP proof is not valid"

    @pytest.mark.parametrize(
        ("made", "lives"), [(-60, True), (-61, False), (10, True), (11, False)]
    )
    async def test_it_was_made_just_now(self, server: Exchanging, made: int, lives: bool) -> None:
        answer = await ask(server, proof(server, iat=server.now + made))

        assert answer.status_code == (200 if lives else 400)

    async def test_two_proofs_are_none(self, server: Exchanging) -> None:
        headers = [
            ("authorization", server.endpoint.headers()["authorization"]),
            ("dpop", proof(server)),
            ("dpop", proof(server)),
        ]
        answer = await server.endpoint.http.post("/token", data=FORM, headers=headers)
        joined = await ask(server, f"{proof(server)}, {proof(server)}")

        require_refusal(answer, "invalid_dpop_proof")
        require_refusal(joined, "invalid_dpop_proof")
        require_refusal(await ask(server, "x"), "invalid_dpop_proof")

    async def test_one_is_used_once(self, server: Exchanging) -> None:
        made = proof(server)

        answers = await asyncio.gather(*(ask(server, made) for _ in range(8)))

        assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 7}
        server.endpoint.clock.advance(60 * SECOND)
        require_refusal(await ask(server, made), "invalid_dpop_proof")

    async def test_another_key_may_use_the_same_name_for_a_proof(self, server: Exchanging) -> None:
        first = await ask(server, proof(server, KEY, jti="same"))
        second = await ask(server, proof(server, OTHER, jti="same"))

        assert (first.status_code, second.status_code) == (200, 200)

    async def test_the_metadata_says_so(self, server: Exchanging) -> None:
        body = (await server.endpoint.http.get("/.well-known/openid-configuration")).json()

        assert "ES256" in body["dpop_signing_alg_values_supported"]


class TestRequired:
    async def test_a_client_may_be_held_to_it(self, tmp_path: Path, clock: FrozenClock) -> None:
        """RFC 9449 §5.2."""
        held = SETTINGS.replace('client_id = "plain"', 'client_id = "plain"\nrequires_dpop = true')
        form = {"grant_type": "client_credentials"}
        async with opened(tmp_path, clock, settings=held) as server:
            without = await server.post(form, "plain")

            require_refusal(without, "invalid_dpop_proof")
            assert (await ask(server, proof(server), "plain", **form)).status_code == 200


class TestNonces:
    async def test_the_server_chooses_one_and_every_answer_says_the_next(
        self, tmp_path: Path, clock: FrozenClock
    ) -> None:
        """RFC 9449 §8.2."""
        async with opened(tmp_path, clock, settings="dpop_nonces = true\n" + SETTINGS) as server:
            first = await ask(server, proof(server))
            require_refusal(first, "use_dpop_nonce")
            nonce = first.headers["dpop-nonce"]

            good = await ask(server, proof(server, nonce=nonce))
            wrong = await ask(server, proof(server, nonce="wrong"))
            clock.advance(120 * SECOND)
            old = await ask(server, proof(server, nonce=nonce))

            assert good.status_code == 200
            assert good.headers["dpop-nonce"] == nonce
            require_refusal(wrong, "use_dpop_nonce")
            require_refusal(old, "use_dpop_nonce")
            assert old.headers["dpop-nonce"] != nonce
            assert (await server.post(FORM, "web")).status_code == 200

    async def test_unless_it_is_told_to_it_asks_for_none(self, server: Exchanging) -> None:
        assert "dpop-nonce" not in (await ask(server, proof(server))).headers


class TestCodesAndRefreshTokens:
    async def code(self, server: Exchanging, **more: Any) -> dict[str, str]:
        sign_in = await server.endpoint.sign_in(
            "openid offline_access orders.read", client_id="phone", redirect_uri=PHONE, **more
        )
        return {
            "grant_type": "authorization_code", "code": sign_in.code.reveal(), "client_id": "phone",
            "redirect_uri": PHONE, "code_verifier": sign_in.verifier.reveal(),
        }  # fmt: skip

    async def public(
        self, server: Exchanging, form: dict[str, str], made: str | None = None
    ) -> httpx2.Response:
        headers = {} if made is None else {"dpop": made}
        return await server.endpoint.http.post("/token", data=form, headers=headers)

    @pytest.mark.parametrize("key", [KEY, OTHER, None], ids=["own", "other", "none"])
    async def test_a_public_clients_refresh_token_is_bound_to_its_key(
        self, server: Exchanging, key: ProofKey | None
    ) -> None:
        first = await self.public(server, await self.code(server), proof(server))
        form = {
            "grant_type": "refresh_token", "client_id": "phone",
            "refresh_token": first.json()["refresh_token"],
        }  # fmt: skip

        answer = await self.public(server, form, proof(server, key) if key else None)

        if key is KEY:
            claims = claims_of(answer.json()["access_token"])
            assert claims["cnf"] == {"jkt": KEY.thumbprint}
            again = {**form, "refresh_token": answer.json()["refresh_token"]}
            require_refusal(await self.public(server, again, proof(server, OTHER)), "invalid_grant")
            assert (await self.public(server, again, proof(server))).status_code == 200
        else:
            require_refusal(answer, "invalid_grant")
            # Whoever tried has not spent it.
            assert (await self.public(server, form, proof(server))).status_code == 200

    async def test_a_client_with_a_secret_may_change_its_key(self, server: Exchanging) -> None:
        sign_in = await server.endpoint.sign_in()
        form = {
            "grant_type": "authorization_code", "code": sign_in.code.reveal(),
            "redirect_uri": "https://app.example/callback", "code_verifier": sign_in.verifier.reveal(),
        }  # fmt: skip
        first = (await ask(server, proof(server), "web", **form)).json()

        answer = await ask(
            server, proof(server, OTHER), "web",
            grant_type="refresh_token", refresh_token=first["refresh_token"],
        )  # fmt: skip

        assert claims_of(answer.json()["access_token"])["cnf"] == {"jkt": OTHER.thumbprint}

    @pytest.mark.parametrize("key", [KEY, OTHER, None], ids=["own", "other", "none"])
    async def test_a_code_can_be_bound_before_it_is_given(
        self, server: Exchanging, key: ProofKey | None
    ) -> None:
        form = await self.code(server, dpop_jkt=KEY.thumbprint)

        answer = await self.public(server, form, proof(server, key) if key else None)

        assert answer.status_code == (200 if key is KEY else 400)
        if key is not KEY:
            require_refusal(answer, "invalid_grant")

    @pytest.mark.parametrize("jkt", ["x", "a" * 42, "a" * 44, "é" * 43])
    async def test_what_is_no_thumbprint_is_refused_at_once(
        self, server: Exchanging, jkt: str
    ) -> None:
        query: dict[str, Any] = {"scope": "orders.read", "dpop_jkt": jkt}

        with pytest.raises(KeyError):  # there is no code in the answer
            await server.endpoint.sign_in(**query)


class TestExchange:
    async def test_a_bound_token_is_exchanged_only_with_its_key(self, server: Exchanging) -> None:
        """RFC 9449 §6: or it would be free of it."""
        sign_in = await server.endpoint.sign_in("orders.read")
        form = {
            "grant_type": "authorization_code", "code": sign_in.code.reveal(),
            "redirect_uri": "https://app.example/callback", "code_verifier": sign_in.verifier.reveal(),
        }  # fmt: skip
        token = (await ask(server, proof(server), "web", **form)).json()["access_token"]

        plain = await server.ask(token)
        other = await server.ask(token, "orders", {"dpop": proof(server, OTHER)})
        own = await server.ask(token, "orders", {"dpop": proof(server)})

        require_refusal(plain, "invalid_request")
        require_refusal(other, "invalid_request")
        assert own.json()["token_type"] == "DPoP"
        assert claims_of(own.json()["access_token"])["cnf"] == {"jkt": KEY.thumbprint}

    async def test_a_certificate_cannot_be_proved_here(self, server: Exchanging) -> None:
        token = server.forged(await server.caller_token(), cnf={"x5t#S256": "A" * 43})

        require_refusal(await server.ask(token), "invalid_request")

    async def test_a_bearer_token_becomes_a_bound_one(self, server: Exchanging) -> None:
        token = await server.caller_token()

        answer = await server.ask(token, "orders", {"dpop": proof(server)})

        assert claims_of(answer.json()["access_token"])["cnf"] == {"jkt": KEY.thumbprint}


class TestUserInfo:
    """RFC 9449 §7.1."""

    async def asked(self, server: Exchanging, scheme: str, token: str, **headers: str) -> int:
        sent = {"authorization": f"{scheme} {token}", **headers}
        answer = await server.endpoint.http.get("/userinfo", headers=sent)
        schemes = [one.split(" ")[0] for one in answer.headers.get_list("www-authenticate")]
        assert schemes == ([] if answer.status_code == 200 else ["Bearer", "DPoP"])
        return answer.status_code

    async def test_a_bound_token_needs_its_scheme_and_its_key(self, server: Exchanging) -> None:
        sign_in = await server.endpoint.sign_in("openid")
        form = {
            "grant_type": "authorization_code", "code": sign_in.code.reveal(),
            "redirect_uri": "https://app.example/callback", "code_verifier": sign_in.verifier.reveal(),
        }  # fmt: skip
        token = (await ask(server, proof(server), "web", **form)).json()["access_token"]

        def made(key: ProofKey = KEY, **changes: Any) -> str:
            text: str = key.proof("GET", USERINFO, now=server.now, token=token, **changes)
            return text

        once = made()
        assert await self.asked(server, "DPoP", token, dpop=once) == 200
        assert await self.asked(server, "DPoP", token, dpop=once) == 401
        assert await self.asked(server, "dpop", token, dpop=made()) == 200
        assert await self.asked(server, "Bearer", token) == 401
        assert await self.asked(server, "Bearer", token, dpop=made()) == 401
        assert await self.asked(server, "DPoP", token) == 401
        assert await self.asked(server, "DPoP", token, dpop=made(OTHER)) == 401
        assert await self.asked(server, "DPoP", token, dpop=made(ath="x")) == 401
        assert await self.asked(server, "DPoP", token, dpop=made(htm="POST")) == 401

    async def test_a_bearer_token_is_not_made_better_by_a_proof(self, server: Exchanging) -> None:
        token = await server.caller_token("openid")
        made = KEY.proof("GET", USERINFO, now=server.now, token=token)

        assert await self.asked(server, "Bearer", token) == 200
        assert await self.asked(server, "DPoP", token, dpop=made) == 401
