"""What a request asks for beside a scope: claims by name, one person, details; twins of the Basic plan."""

import json
from typing import Any

import pytest
from tests.server.conftest import SECOND, claims_of
from tests.server.requesting import Asking, answered

from mintmark.server.authorize.outcome import AskConsent, AskLogin, ShowError


class TestTwins:
    """One for each module of the Basic plan that this side of the server answers for."""

    async def test_oidcc_prompt_none_not_logged_in(self, asking: Asking) -> None:
        assert answered(await asking.ask(prompt="none"))["error"] == "login_required"

    async def test_oidcc_prompt_none_logged_in(self, asking: Asking) -> None:
        session = await asking.session()
        await asking.agree(await asking.ask(session), session)

        tokens = await asking.tokens(await asking.ask(session, prompt="none"))

        assert claims_of(tokens["id_token"])["sub"] == "1-alice"

    async def test_oidcc_prompt_login(self, asking: Asking) -> None:
        session = await asking.session()
        asking.clock.advance(SECOND)
        assert isinstance(await asking.ask(session, prompt="login"), AskLogin)

    @pytest.mark.parametrize(("age", "asked"), [("1", True), ("10000", False)])
    async def test_oidcc_max_age(self, asking: Asking, age: str, asked: bool) -> None:
        """oidcc-max-age-1 and oidcc-max-age-10000."""
        session = await asking.session()
        asking.clock.advance(SECOND * 2)

        outcome = await asking.ask(session, max_age=age)

        assert isinstance(outcome, AskLogin) == asked

    @pytest.mark.parametrize(
        "changes",
        [
            {"display": "page"}, {"display": "popup"}, {"ui_locales": "se de"}, {"claims_locales": "se"},
            {"acr_values": "gold silver"}, {"login_hint": "alice"}, {"extra": "foobar"}, {"nonce": None},
        ],
    )  # fmt: skip
    async def test_oidcc_it_is_taken_and_changes_nothing(
        self, asking: Asking, changes: dict[str, Any]
    ) -> None:
        """oidcc-display-page, -display-popup, -ui-locales, -claims-locales, -login-hint,
        -ensure-request-with-acr-values-succeeds, -ensure-request-with-unknown-parameter-succeeds,
        -ensure-request-without-nonce-succeeds-for-code-flow."""
        session = await asking.session()

        outcome = await asking.agree(await asking.ask(session, **changes), session)

        assert "code" in answered(outcome)

    async def test_oidcc_ensure_post_request_succeeds(self, asking: Asking) -> None:
        answer = await asking.http.post("/authorize", data=asking.parameters())

        assert (answer.status_code, "Sign in" in answer.text) == (200, True)

    async def test_oidcc_ensure_registered_redirect_uri(self, asking: Asking) -> None:
        outcome = await asking.ask(redirect_uri="https://app.example/another")

        assert isinstance(outcome, ShowError)

    async def test_oidcc_response_type_missing(self, asking: Asking) -> None:
        assert answered(await asking.ask(response_type=None))["error"] == "invalid_request"

    async def test_oidcc_claims_essential(self, asking: Asking) -> None:
        """OIDC Core §5.5: by name, in the ID token and at UserInfo, and agreed to first."""
        session = await asking.session()
        claims = {
            "userinfo": {"email": {"essential": True}},
            "id_token": {"name": {"essential": True}, "auth_time": None, "shoe_size": None},
        }

        consent = await asking.ask(session, scope="openid", claims=json.dumps(claims))
        assert isinstance(consent, AskConsent)
        assert consent.scope == {"openid", "profile", "email"}
        tokens = await asking.tokens(await asking.agree(consent, session))
        headers = {"authorization": f"Bearer {tokens['access_token']}"}
        person = await asking.http.get("/userinfo", headers=headers)

        said = claims_of(tokens["id_token"])
        assert (said["name"], "email" in said, "shoe_size" in said) == (
            "Alice Liddell",
            False,
            False,
        )
        assert person.json() == {"sub": "1-alice", "email": "alice@wonderland.example"}

    async def test_claims_that_the_client_could_not_have_are_left_out(self, asking: Asking) -> None:
        claims = json.dumps({"id_token": {"email": {"essential": True}}})
        outcome = await asking.ask(
            await asking.session(), client_id="other", scope="openid", claims=claims
        )

        tokens = await asking.tokens(outcome, "other")

        assert "email" not in claims_of(tokens["id_token"])

    async def test_an_essential_acr_that_cannot_be_had(self, asking: Asking) -> None:
        """OIDC Core §5.5.1.1; as a mere wish it is no obstacle."""
        session = await asking.session()
        wish = {"acr": {"values": ["gold"]}}
        must = {"acr": {"values": ["gold"], "essential": True}}

        refused = await asking.ask(session, claims=json.dumps({"id_token": must}))
        taken = await asking.ask(session, claims=json.dumps({"id_token": wish}))

        assert answered(refused)["error"] == "unmet_authentication_requirements"
        assert isinstance(taken, AskConsent)

    @pytest.mark.parametrize(
        "claims",
        [
            "x", "[]", "7", '{"id_token": []}', '{"id_token": {"name": 7}}', '{"id_token": {}, "id_token": {}}',
            '{"id_token": {"acr": {"values": "gold"}}}', '{"userinfo": {"sub": {"value": 7}}}', "é", "[" * 5000,
            '{"id_token": {"sub": {"value": "1"}}, "userinfo": {"sub": {"value": "2"}}}',
        ],
    )  # fmt: skip
    async def test_claims_that_cannot_be_read(self, asking: Asking, claims: str) -> None:
        assert answered(await asking.ask(claims=claims))["error"] == "invalid_request"


class TestOnePerson:
    """OIDC Core §3.1.2.1 and §3.1.2.2: oidcc-id-token-hint, and who must not pass for another."""

    async def hint(self, asking: Asking) -> str:
        session = await asking.session()
        tokens = await asking.tokens(await asking.agree(await asking.ask(session), session))
        hint: str = tokens["id_token"]
        return hint

    async def test_oidcc_id_token_hint(self, asking: Asking) -> None:
        hint = await self.hint(asking)

        outcome = await asking.ask(await asking.session(), prompt="none", id_token_hint=hint)

        assert "code" in answered(outcome)

    async def test_another_person_is_no_answer(self, asking: Asking) -> None:
        hint, bob = await self.hint(asking), await asking.session("2-bob")
        asking.clock.advance(SECOND)

        silent = await asking.ask(bob, prompt="none", id_token_hint=hint)
        page = await asking.ask(bob, id_token_hint=hint)
        still_bob = await asking.enter(page, await asking.session("2-bob"))
        alice = await asking.enter(page, await asking.session())

        assert answered(silent)["error"] == "login_required"
        assert answered(still_bob)["error"] == "login_required"
        assert "code" in answered(alice)

    async def test_the_same_by_a_claim(self, asking: Asking) -> None:
        claims = json.dumps({"id_token": {"sub": {"value": "1-alice"}}})
        bob, alice = await asking.session("2-bob"), await asking.session()

        refused = await asking.ask(bob, client_id="other", claims=claims, prompt="none")
        taken = await asking.ask(alice, client_id="other", claims=claims, prompt="none")

        assert answered(refused)["error"] == "login_required"
        assert "code" in answered(taken)

    async def test_a_hint_that_is_not_ours_or_anothers(self, asking: Asking) -> None:
        hint = await self.hint(asking)
        header, payload, signature = hint.split(".")
        claims = json.dumps({"id_token": {"sub": {"value": "2-bob"}}})

        for wrong in ("x", f"{header}.{payload}.", f"{header}.{payload}.{'A' * len(signature)}"):
            assert answered(await asking.ask(id_token_hint=wrong))["error"] == "invalid_request"
        other = await asking.ask(client_id="other", id_token_hint=hint)
        two = await asking.ask(id_token_hint=hint, claims=claims)
        assert answered(other)["error"] == answered(two)["error"] == "invalid_request"


PAYMENT = {"type": "payment", "amount": "12.50", "to": {"iban": "DE02"}}


class TestDetails:
    """RFC 9396 §2, §3, §5, §6.1, §7, §9.1, §9.2 and §10."""

    async def granted(self, asking: Asking) -> dict[str, Any]:
        session = await asking.session()
        consent = await asking.ask(
            session, scope="openid offline_access", authorization_details=json.dumps([PAYMENT])
        )
        assert isinstance(consent, AskConsent)
        assert consent.details == (PAYMENT,)
        return await asking.tokens(await asking.agree(consent, session))

    async def test_they_go_from_the_page_to_the_token(self, asking: Asking) -> None:
        tokens = await self.granted(asking)

        said = claims_of(tokens["access_token"])
        assert (said["aud"], said["authorization_details"]) == ("https://pay.example", [PAYMENT])
        assert tokens["authorization_details"] == [PAYMENT]
        answer = await asking.http.post(
            "/introspect", data={"token": tokens["access_token"]}, headers=asking.headers()
        )
        refresh = await asking.http.post(
            "/introspect", data={"token": tokens["refresh_token"]}, headers=asking.headers()
        )
        assert answer.json()["authorization_details"] == [PAYMENT]
        assert refresh.json()["authorization_details"] == [PAYMENT]

    async def test_a_refresh_keeps_them_and_adds_none(self, asking: Asking) -> None:
        tokens = await self.granted(asking)
        more = json.dumps([{**PAYMENT, "amount": "99"}])

        refused = await asking.refresh(tokens["refresh_token"], authorization_details=more)
        unreadable = await asking.refresh(tokens["refresh_token"], authorization_details="{")
        kept = await asking.refresh(tokens["refresh_token"])

        for answer in (refused, unreadable):
            assert answer.json()["error"] == "invalid_authorization_details"
        assert claims_of(kept.json()["access_token"])["authorization_details"] == [PAYMENT]

    async def test_they_are_asked_for_every_time(self, asking: Asking) -> None:
        await self.granted(asking)
        details = json.dumps([PAYMENT])
        session = await asking.session()

        again = await asking.ask(session, scope="openid", authorization_details=details)
        silent = await asking.ask(
            session, scope="openid", authorization_details=details, prompt="none"
        )

        assert isinstance(again, AskConsent)
        assert answered(silent)["error"] == "consent_required"

    @pytest.mark.parametrize(
        "details",
        [
            "x", "{}", "7", '["payment"]', "[{}]", '[{"type": 7}]', '[{"type": ""}]', "[" * 5000, "é",
            '[{"type": "account"}]', '[{"type": "unheard-of"}]', '[{"type": "payment", "type": "payment"}]',
            '[], "details": [{"type": "payment"}]', json.dumps([PAYMENT] * 17),
        ],
    )  # fmt: skip
    async def test_what_is_not_declared_or_allowed(self, asking: Asking, details: str) -> None:
        outcome = await asking.ask(await asking.session(), authorization_details=details)

        assert answered(outcome)["error"] == "invalid_authorization_details"

    async def test_metadata_names_the_types(self, asking: Asking) -> None:
        said = (await asking.http.get("/.well-known/openid-configuration")).json()

        assert said["authorization_details_types_supported"] == ["account", "payment"]
        assert said["pushed_authorization_request_endpoint"] == "https://id.example/par"
        assert said["device_authorization_endpoint"] == "https://id.example/device_authorization"
        assert "form_post.jwt" in said["response_modes_supported"]
        assert said["claims_parameter_supported"] is said["request_parameter_supported"] is True
        assert said["request_uri_parameter_supported"] is True
        assert said["require_request_uri_registration"] is True
