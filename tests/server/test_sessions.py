"""What a browser's session may be used for, and what ends with it."""

from typing import Any

import pytest
from tests.server.conftest import MINUTE, Endpoint
from tests.server.test_browser_endpoints import answered, begin, session

from mintmark.server.authorize.outcome import AskConsent, AskLogin
from mintmark.server.stores import AccountRecord, SessionRecord


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
