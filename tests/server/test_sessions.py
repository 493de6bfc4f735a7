"""What a browser's session may be used for, and what ends with it."""

from datetime import datetime
from typing import Any

import pytest
from tests.server.conftest import MINUTE, SECOND, Endpoint
from tests.server.test_browser_endpoints import answered, begin, session

from mintmark.protocol.pkce import challenge_of, make_verifier
from mintmark.server.authorize.outcome import AskConsent, AskLogin
from mintmark.server.stores import AccountRecord, SessionRecord, StoreUnavailable


async def bob(endpoint: Endpoint) -> AccountRecord:
    alice = await endpoint.account()
    made = AccountRecord(
        subject="2-bob", username="bob", password_hash=alice.password_hash, claims={}
    )
    await endpoint.server.stores.accounts.put(made)
    return made


def after_consent(endpoint: Endpoint, interaction: str, record: SessionRecord | None) -> Any:
    return endpoint.server._site._authorize.after_consent(interaction, record, agreed=True)


class TestConsent:
    """OIDC Core §3.1.2.1 and §3.1.2.4: who agrees is who was asked, after they signed in."""

    @pytest.mark.parametrize("changes", [{"prompt": "login"}, {"max_age": "60"}])
    async def test_a_sign_in_page_cannot_be_answered_by_agreeing(
        self, endpoint: Endpoint, changes: dict[str, str]
    ) -> None:
        _, record = await session(endpoint)
        endpoint.clock.advance(2 * MINUTE)
        asked = await begin(endpoint, record, **changes)
        assert isinstance(asked, AskLogin)

        assert isinstance(await after_consent(endpoint, asked.interaction, record), AskLogin)

    async def test_nobody_agrees_for_the_person_that_the_page_was_made_for(
        self, endpoint: Endpoint
    ) -> None:
        _, alices = await session(endpoint)
        asked = await begin(endpoint, alices)
        assert isinstance(asked, AskConsent)
        sessions = endpoint.server._site._sessions
        _, bobs = await sessions.begin(await bob(endpoint), None, now=endpoint.clock.now())

        again = await after_consent(endpoint, asked.interaction, bobs)

        assert isinstance(again, AskConsent)
        assert again.username == "bob"
        assert await endpoint.server.stores.consents.find("2-bob", "web") == frozenset()
        assert "code" in answered(await after_consent(endpoint, again.interaction, bobs))

    async def test_agreeing_still_counts_after_signing_in_again_in_another_tab(
        self, endpoint: Endpoint
    ) -> None:
        cookie, first = await session(endpoint)
        asked = await begin(endpoint, first)
        sessions = endpoint.server._site._sessions
        now = endpoint.clock.now()
        _, second = await sessions.begin(await endpoint.account(), cookie, now=now)

        assert "code" in answered(await after_consent(endpoint, asked.interaction, second))


class TestSigningInAgain:
    """The cookie changes, and no token is left that signing out would not end."""

    async def refresh_token(self, endpoint: Endpoint, record: SessionRecord) -> str:
        changes = {"scope": "openid offline_access orders.read", "client_id": "phone"}
        verifier = make_verifier()
        changes |= {
            "redirect_uri": "http://127.0.0.1:5000/callback",
            "code_challenge": challenge_of(verifier),
        }
        outcome = await begin(endpoint, record, **changes)
        code = outcome.url.partition("code=")[2].partition("&")[0]
        answer = await endpoint.token(
            None,
            client_id="phone",
            grant_type="authorization_code",
            code=code,
            redirect_uri=changes["redirect_uri"],
            code_verifier=verifier.reveal(),
        )
        token: str = answer.json()["refresh_token"]
        return token

    async def is_live(self, endpoint: Endpoint, token: str) -> bool:
        answer = await endpoint.token(
            None, client_id="phone", grant_type="refresh_token", refresh_token=token
        )
        return answer.status_code == 200

    async def test_signing_out_ends_the_tokens_of_the_sign_in_before(
        self, endpoint: Endpoint
    ) -> None:
        sessions = endpoint.server._site._sessions
        first_cookie, first = await session(endpoint)
        token = await self.refresh_token(endpoint, first)
        endpoint.clock.advance(SECOND)
        now = endpoint.clock.now()
        cookie, second = await sessions.begin(await endpoint.account(), first_cookie, now=now)

        assert cookie != first_cookie
        assert second.auth_time > first.auth_time
        assert await sessions.find(first_cookie, now=now) is None
        await sessions.end(cookie, now=now)

        assert not await self.is_live(endpoint, token)

    async def test_another_person_on_this_browser_ends_the_session_of_the_first(
        self, endpoint: Endpoint
    ) -> None:
        sessions = endpoint.server._site._sessions
        alices_cookie, alices = await session(endpoint)
        token = await self.refresh_token(endpoint, alices)
        now = endpoint.clock.now()
        _, bobs = await sessions.begin(await bob(endpoint), alices_cookie, now=now)

        assert bobs.sid != alices.sid
        assert not await self.is_live(endpoint, token)

    async def test_a_sign_out_that_failed_half_way_can_be_repeated(
        self, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sessions = endpoint.server._site._sessions
        cookie, record = await session(endpoint)
        token = await self.refresh_token(endpoint, record)
        now = endpoint.clock.now()

        async def full(_: str, *, now: datetime) -> None:
            raise StoreUnavailable("database or disk is full")

        with monkeypatch.context() as broken:
            broken.setattr(sessions.refresh_tokens, "revoke_session", full)
            with pytest.raises(StoreUnavailable):
                await sessions.end(cookie, now=now)
        assert await sessions.end(cookie, now=now) == record

        assert not await self.is_live(endpoint, token)
