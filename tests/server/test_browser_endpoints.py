"""Authorization and logout as a browser meets them, before any page is drawn."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.server.conftest import CALLBACK, ISSUER, SECOND, Endpoint

from mintmark.secret import Secret
from mintmark.server.authorize.interaction import InteractionLost
from mintmark.server.authorize.outcome import AskConsent, AskLogin, Redirect, ShowError
from mintmark.server.end_session import AskLogout, SignedOut
from mintmark.server.stores import SessionRecord

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
BASE = {
    "client_id": "web", "redirect_uri": CALLBACK, "response_type": "code", "scope": "openid orders.read",
    "state": "state-of-this-test", "code_challenge": CHALLENGE, "code_challenge_method": "S256",
}  # fmt: skip


def query(**changes: Any) -> str:
    return urlencode({k: v for k, v in (BASE | changes).items() if v is not None}, doseq=True)


async def session(endpoint: Endpoint) -> tuple[Secret, SessionRecord]:
    sessions = endpoint.server._site._sessions
    return await sessions.begin(await endpoint.account(), None, now=endpoint.clock.now())


async def begin(endpoint: Endpoint, record: SessionRecord | None = None, **changes: Any) -> Any:
    return await endpoint.server._site._authorize.begin(query(**changes), record)


def answered(outcome: Any) -> dict[str, str]:
    assert isinstance(outcome, Redirect)
    assert outcome.url.startswith(CALLBACK + "?")
    return {k: v[0] for k, v in parse_qs(urlsplit(outcome.url).query).items()}


class TestBeforeAnythingElse:
    """RFC 6749 §4.1.2.1: what is wrong with client or address is shown, never redirected."""

    @pytest.mark.parametrize(
        "changes",
        [
            {"client_id": "nobody"}, {"client_id": None}, {"redirect_uri": None}, {"redirect_uri": CALLBACK + "/"},
            {"redirect_uri": "https://evil.example/"}, {"client_id": ["web", "web"]}, {"redirect_uri": [CALLBACK, CALLBACK]},
        ],
    )  # fmt: skip
    async def test_it_is_shown(self, endpoint: Endpoint, changes: dict[str, Any]) -> None:
        assert isinstance(await begin(endpoint, **changes), ShowError)


class TestRefusals:
    """RFC 9207 §2, RFC 6749 §4.1.2.1: everything else goes back with state and issuer."""

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"code_challenge": None}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"scope": "openid everything"}, "invalid_scope"),
            ({"scope": None}, "invalid_scope"),
            ({"resource": "https://stock.example"}, "invalid_target"),
            ({"request": "x"}, "invalid_request_object"),
            ({"prompt": "none"}, "login_required"),
        ],
    )
    async def test_it_goes_back(
        self, endpoint: Endpoint, changes: dict[str, Any], error: str
    ) -> None:
        answer = answered(await begin(endpoint, **changes))

        assert (answer["error"], answer["iss"], answer["state"]) == (
            error,
            ISSUER,
            "state-of-this-test",
        )
        assert "code" not in answer


class TestQuestions:
    """OIDC Core §3.1.2.1: who has to be asked what."""

    async def test_a_stranger_signs_in_then_agrees_and_is_remembered(
        self, endpoint: Endpoint
    ) -> None:
        authorize = endpoint.server._site._authorize
        asked = await begin(endpoint, login_hint="alice")
        assert isinstance(asked, AskLogin)
        assert asked.login_hint == "alice"
        _, record = await session(endpoint)

        consent = await authorize.after_login(asked.interaction, record)
        assert isinstance(consent, AskConsent)
        answer = answered(await authorize.after_consent(consent.interaction, record, agreed=True))

        assert (answer["state"], answer["iss"]) == ("state-of-this-test", ISSUER)
        assert len(answer["code"]) == 43
        assert "code" in answered(await begin(endpoint, record))
        assert "code" in answered(await begin(endpoint, record, prompt="none"))

    async def test_who_refuses_is_not_signed_in(self, endpoint: Endpoint) -> None:
        _, record = await session(endpoint)
        asked = await begin(endpoint, record)

        outcome = await endpoint.server._site._authorize.after_consent(
            asked.interaction, record, agreed=False
        )

        assert answered(outcome)["error"] == "access_denied"
        assert isinstance(await begin(endpoint, record), AskConsent)

    async def test_more_scope_is_asked_for_again(self, endpoint: Endpoint) -> None:
        _, record = await session(endpoint)
        asked = await begin(endpoint, record)
        await endpoint.server._site._authorize.after_consent(asked.interaction, record, agreed=True)

        assert isinstance(
            await begin(endpoint, record, scope="openid orders.read orders.write"), AskConsent
        )
        assert isinstance(await begin(endpoint, record, prompt="consent"), AskConsent)
        refusal = answered(
            await begin(endpoint, record, prompt="none", scope="openid orders.write")
        )
        assert refusal["error"] == "consent_required"

    @pytest.mark.parametrize("prompt", ["login", "select_account"])
    async def test_a_fresh_sign_in_is_wanted_and_is_enough(
        self, endpoint: Endpoint, prompt: str
    ) -> None:
        _, old = await session(endpoint)
        endpoint.clock.advance(SECOND)
        asked = await begin(endpoint, old, prompt=prompt)
        assert isinstance(asked, AskLogin)
        _, fresh = await session(endpoint)

        outcome = await endpoint.server._site._authorize.after_login(asked.interaction, fresh)

        assert isinstance(outcome, AskConsent)

    @pytest.mark.parametrize(("age", "kind"), [(60, AskConsent), (61, AskLogin)])
    async def test_max_age_holds_on_the_second(
        self, endpoint: Endpoint, age: int, kind: type
    ) -> None:
        _, record = await session(endpoint)
        endpoint.clock.advance(timedelta(seconds=age))

        assert isinstance(await begin(endpoint, record, max_age=60), kind)

    async def test_two_tabs_do_not_disturb_each_other(self, endpoint: Endpoint) -> None:
        authorize = endpoint.server._site._authorize
        one, two = (
            await begin(endpoint, state="one-tab"),
            await begin(endpoint, state="another-tab"),
        )
        _, record = await session(endpoint)

        for asked, state in ((two, "another-tab"), (one, "one-tab")):
            outcome = await authorize.after_login(asked.interaction, record)
            if isinstance(outcome, AskConsent):
                outcome = await authorize.after_consent(outcome.interaction, record, agreed=True)
            assert answered(outcome)["state"] == state

    @pytest.mark.parametrize(
        ("after", "lives"), [(timedelta(minutes=10) - SECOND, True), (timedelta(minutes=10), False)]
    )
    async def test_a_page_stays_open_for_ten_minutes(
        self, endpoint: Endpoint, after: timedelta, *, lives: bool
    ) -> None:
        asked = await begin(endpoint)
        endpoint.clock.advance(after)
        _, record = await session(endpoint)
        authorize = endpoint.server._site._authorize

        if lives:
            assert isinstance(await authorize.after_login(asked.interaction, record), AskConsent)
        else:
            with pytest.raises(InteractionLost):
                await authorize.after_login(asked.interaction, record)

    @pytest.mark.parametrize("interaction", ["", "A" * 80, "not base64!", "A" * 20_000])
    async def test_a_made_up_interaction_is_lost(
        self, endpoint: Endpoint, interaction: str
    ) -> None:
        _, record = await session(endpoint)

        with pytest.raises(InteractionLost):
            await endpoint.server._site._authorize.after_login(interaction, record)

    @settings(
        deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        st.dictionaries(
            st.sampled_from([*sorted(BASE), "prompt", "max_age", "resource"]),
            st.text(max_size=15),
            max_size=4,
        )
    )
    async def test_no_parameters_make_it_fall_over(
        self, endpoint: Endpoint, changes: dict[str, str]
    ) -> None:
        try:
            encoded = query(**changes)
        except UnicodeEncodeError:
            return
        outcome = await endpoint.server._site._authorize.begin(encoded, None)
        assert isinstance(outcome, Redirect | AskLogin | ShowError)


class TestLogout:
    """OIDC RP-Initiated Logout §2, OIDC RP-Initiated Logout §3."""

    BACK = "https://app.example/"

    async def end(
        self,
        endpoint: Endpoint,
        cookie: Secret | None,
        *,
        confirmed: bool = False,
        **parameters: str,
    ) -> Any:
        return await endpoint.server._site._end_session.begin(
            urlencode(parameters), cookie, confirmed=confirmed
        )

    async def test_the_hint_of_this_session_ends_it_at_once(self, endpoint: Endpoint) -> None:
        site = endpoint.server._site
        cookie, record = await session(endpoint)
        asked = await begin(endpoint, record, scope="openid offline_access orders.read")
        code = answered(
            await site._authorize.after_consent(asked.interaction, record, agreed=True)
        )["code"]
        from tests.server.conftest import SignIn

        verifier = Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
        body = (await endpoint.exchange(SignIn(Secret(code), verifier, record.sid, {}))).json()

        outcome = await self.end(
            endpoint,
            cookie,
            id_token_hint=body["id_token"],
            post_logout_redirect_uri=self.BACK,
            state="s",
        )

        assert outcome == Redirect(self.BACK + "?state=s")
        assert await site._sessions.find(cookie, now=endpoint.clock.now()) is None
        assert (await endpoint.refresh(body["refresh_token"])).json()["error"] == "invalid_grant"

    async def test_without_a_hint_the_person_is_asked(self, endpoint: Endpoint) -> None:
        cookie, _ = await session(endpoint)

        assert isinstance(await self.end(endpoint, cookie, client_id="web"), AskLogout)
        assert (
            await endpoint.server._site._sessions.find(cookie, now=endpoint.clock.now()) is not None
        )
        assert isinstance(await self.end(endpoint, cookie, confirmed=True), SignedOut)
        assert await endpoint.server._site._sessions.find(cookie, now=endpoint.clock.now()) is None

    @pytest.mark.parametrize(
        "parameters",
        [
            {"client_id": "web", "post_logout_redirect_uri": "https://evil.example/"},
            {"post_logout_redirect_uri": "https://app.example/"},
            {"client_id": "nobody", "post_logout_redirect_uri": "https://app.example/"},
            {"id_token_hint": "a.b.c"},
        ],
    )
    async def test_a_wrong_address_or_hint_ends_nothing(
        self, endpoint: Endpoint, parameters: dict[str, Any]
    ) -> None:
        cookie, _ = await session(endpoint)

        assert isinstance(await self.end(endpoint, cookie, **parameters), ShowError)
        assert (
            await endpoint.server._site._sessions.find(cookie, now=endpoint.clock.now()) is not None
        )
