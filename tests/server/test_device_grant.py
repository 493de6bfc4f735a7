"""A device is let in (RFC 8628): what it asks, what it hears, and who decides."""

import asyncio
import re
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import SECOND, claims_of, require_refusal
from tests.server.requesting import DEVICE, Asking

from mintmark.server.authorize.interaction import InteractionLost
from mintmark.server.devices import AskDevice, Devices, UnknownUserCode
from mintmark.server.stores import SessionRecord
from mintmark.server.throttle import TooManyAttempts

FIVE = timedelta(seconds=5)


def devices(asking: Asking) -> Devices:
    return asking.server._site._devices


async def begin(asking: Asking, **changes: Any) -> Any:
    form = {"client_id": "tv", "scope": "openid offline_access orders.read", **changes}
    return await asking.http.post("/device_authorization", data=form)


async def poll(asking: Asking, code: str, client_id: str = "tv") -> Any:
    return await asking.token(None, client_id=client_id, grant_type=DEVICE, device_code=code)


async def find(
    asking: Asking, typed: str, session: SessionRecord, address: str = "192.0.2.1"
) -> AskDevice:
    now = asking.clock.now()
    return await devices(asking).find(typed, session, client_address=address, now=now)


async def decide(
    asking: Asking, ask: AskDevice, session: SessionRecord, *, agreed: bool = True
) -> None:
    now = asking.clock.now()
    await devices(asking).decide(ask.interaction, session, agreed=agreed, now=now)


class TestDevice:
    """RFC 8628 §3.1, RFC 8628 §3.3, RFC 8628 §3.4, RFC 8628 §3.5 and RFC 8628 §6.1."""

    async def test_a_device_is_let_in_once(self, asking: Asking) -> None:
        codes = (await begin(asking)).json()
        session = await asking.session()

        waiting = await poll(asking, codes["device_code"])
        ask = await find(asking, codes["user_code"].lower().replace("-", " "), session)
        assert (ask.client.name, ask.user_code) == ("Television", codes["user_code"])
        await decide(asking, ask, session)
        answer = await poll(asking, codes["device_code"])
        again = await poll(asking, codes["device_code"])

        require_refusal(waiting, "authorization_pending")
        require_refusal(again, "invalid_grant")
        tokens = answer.json()
        said = claims_of(tokens["id_token"])
        assert (said["sub"], said["sid"], said["aud"]) == ("1-alice", session.sid, "tv")
        refreshed = await asking.token(
            None, client_id="tv", grant_type="refresh_token", refresh_token=tokens["refresh_token"]
        )
        assert refreshed.status_code == 200

    async def test_of_many_polls_at_once_one_gets_tokens(self, asking: Asking) -> None:
        codes, session = (await begin(asking)).json(), await asking.session()
        await decide(asking, await find(asking, codes["user_code"], session), session)

        answers = await asyncio.gather(*(poll(asking, codes["device_code"]) for _ in range(20)))

        assert sorted(answer.status_code for answer in answers) == [200, *[400] * 19]

    async def test_the_answer_says_how(self, asking: Asking) -> None:
        answer = await begin(asking)

        codes = answer.json()
        assert answer.headers["cache-control"] == "no-store"
        assert re.fullmatch(
            r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", codes["user_code"]
        )
        assert codes["verification_uri"] == "https://id.example/device"
        assert codes["verification_uri_complete"].endswith(f"?user_code={codes['user_code']}")
        assert (codes["expires_in"], codes["interval"]) == (600, 5)

    async def test_who_asks_too_soon_slows_down(self, asking: Asking) -> None:
        code = (await begin(asking)).json()["device_code"]
        require_refusal(await poll(asking, code), "authorization_pending")
        asking.clock.advance(FIVE - SECOND)
        require_refusal(await poll(asking, code), "slow_down")
        # From now on ten seconds.
        asking.clock.advance(FIVE * 2 - SECOND)
        require_refusal(await poll(asking, code), "slow_down")
        asking.clock.advance(FIVE * 3)
        require_refusal(await poll(asking, code), "authorization_pending")

    async def test_a_clock_that_was_set_back_stops_nobody(self, asking: Asking) -> None:
        code = (await begin(asking)).json()["device_code"]
        await poll(asking, code)
        asking.clock.advance(-timedelta(hours=1))

        require_refusal(await poll(asking, code), "authorization_pending")

    async def test_a_refusal_and_the_end_of_time(self, asking: Asking) -> None:
        refused, late = (await begin(asking)).json(), (await begin(asking)).json()
        session = await asking.session()
        ask = await find(asking, refused["user_code"], session)
        await decide(asking, ask, session, agreed=False)
        require_refusal(await poll(asking, refused["device_code"]), "access_denied")
        # Decided is decided.
        with pytest.raises(UnknownUserCode):
            await decide(asking, ask, session)

        open_page = await find(asking, late["user_code"], session)
        asking.clock.advance(timedelta(minutes=10) - SECOND)
        require_refusal(await poll(asking, late["device_code"]), "authorization_pending")
        asking.clock.advance(SECOND)
        require_refusal(await poll(asking, late["device_code"]), "expired_token")
        with pytest.raises(UnknownUserCode):
            await find(asking, late["user_code"], session)
        with pytest.raises((UnknownUserCode, InteractionLost)):
            await decide(asking, open_page, session)

    async def test_a_code_is_its_clients_alone(self, asking: Asking) -> None:
        code = (await begin(asking)).json()["device_code"]

        for changed in (code[:-1], code + "x", "x"):
            require_refusal(await poll(asking, changed), "invalid_grant")
        other = await asking.token("other", grant_type=DEVICE, device_code=code)
        require_refusal(other, "unauthorized_client")
        require_refusal(await poll(asking, code), "authorization_pending")

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"scope": "openid everything"}, "invalid_scope"), ({"scope": "profile"}, "invalid_scope"),
            ({"resource": "https://pay.example"}, "invalid_target"), ({"client_id": "nobody"}, "invalid_client"),
            ({"client_id": "web"}, "invalid_client"), ({"client_id": ["tv", "tv"]}, "invalid_request"),
        ],
    )  # fmt: skip
    async def test_what_nobody_may_ask_for(
        self, asking: Asking, changes: dict[str, Any], error: str
    ) -> None:
        answer = await begin(asking, **changes)

        require_refusal(answer, error, 401 if error == "invalid_client" else 400)

    async def test_who_signed_out_meanwhile_lets_nobody_in(self, asking: Asking) -> None:
        site = asking.server._site
        cookie, session = await site._sessions.begin(
            await asking.account(), None, now=asking.clock.now()
        )
        codes = (await begin(asking)).json()
        await decide(asking, await find(asking, codes["user_code"], session), session)
        await site._sessions.end(cookie, now=asking.clock.now())

        require_refusal(await poll(asking, codes["device_code"]), "invalid_grant")

    async def test_nothing_is_kept_that_could_be_typed_or_sent(
        self, asking: Asking, tmp_path: Path
    ) -> None:
        codes = (await begin(asking)).json()

        connection = sqlite3.connect(tmp_path / "server.sqlite3")
        row = repr(connection.execute("SELECT * FROM device_codes").fetchall())
        connection.close()
        assert codes["device_code"] not in row
        assert codes["user_code"] not in row
        assert codes["user_code"].replace("-", "") not in row


class TestGuessing:
    """RFC 8628 §5.1: a user code is short, so it is not guessed at leisure."""

    async def test_ten_tries_for_an_account_right_ones_too(self, asking: Asking) -> None:
        session, code = await asking.session(), (await begin(asking)).json()["user_code"]
        for _ in range(9):
            with pytest.raises(UnknownUserCode):
                await find(asking, "BBBB-BBBB", session)
        await find(asking, code, session)

        with pytest.raises(TooManyAttempts):
            await find(asking, code, session, "192.0.2.2")
        await find(asking, code, await asking.session("2-bob"), "192.0.2.2")
        asking.clock.advance(timedelta(minutes=10) - SECOND)
        with pytest.raises(TooManyAttempts):
            await find(asking, code, session, "192.0.2.2")
        assert asking.events.names().count("user_code.refused") == 11

    async def test_three_hundred_tries_for_an_address(self, asking: Asking) -> None:
        session = await asking.session()
        found = devices(asking)
        for number in range(300):
            found.by_account.succeeded(session.subject)
            with pytest.raises(UnknownUserCode):
                await find(asking, "é" * number, session)
        found.by_account.succeeded(session.subject)
        with pytest.raises(TooManyAttempts):
            await find(asking, "BBBB-BBBB", session)

    async def test_another_persons_page_decides_nothing(self, asking: Asking) -> None:
        """RFC 8628 §5.4."""
        alice, bob = await asking.session(), await asking.session("2-bob")
        codes = (await begin(asking)).json()
        ask = await find(asking, codes["user_code"], alice)

        with pytest.raises(InteractionLost):
            await decide(asking, ask, bob)
        for text in ("", "x", "A" * 4000, ask.interaction[:-2]):
            now = asking.clock.now()
            with pytest.raises(InteractionLost):
                await devices(asking).decide(text, alice, agreed=True, now=now)
        require_refusal(await poll(asking, codes["device_code"]), "authorization_pending")
