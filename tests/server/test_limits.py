"""What somebody who tries hard could exhaust: the guesses, the memory, the disk, the clock."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from tests.server.conftest import MINUTE, SECOND, Endpoint, require_refusal

from mintmark.app import Settings, build, require_usable
from mintmark.jose.algorithms import Algorithm
from mintmark.secret import Secret
from mintmark.server.accounts import PasswordRefused
from mintmark.server.sealing import Sealer
from mintmark.server.signing_keys import SigningKeys
from mintmark.server.stores import Unknown
from mintmark.server.throttle import TooManyAttempts
from mintmark.storage.memory import MemoryStores


async def test_guesses_sent_side_by_side_are_counted_one_by_one(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them are in flight before the first is found to be wrong."""
    accounts = endpoint.server._accounts
    judged: list[str] = []

    async def slow(_: str, password: Secret) -> bool:
        judged.append(password.reveal())
        await asyncio.sleep(0.01)
        return False

    monkeypatch.setattr(accounts, "_matches", slow)
    now = endpoint.clock.now()
    attempts = [
        accounts.require_password(
            "alice", Secret(f"guess {n}"), client_address="192.0.2.1", now=now
        )
        for n in range(40)
    ]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)

    assert len(judged) == 10
    assert sum(isinstance(one, PasswordRefused) for one in outcomes) == 10
    assert sum(isinstance(one, TooManyAttempts) for one in outcomes) == 30


async def test_a_right_password_forgives_what_went_before(endpoint: Endpoint) -> None:
    accounts, now = endpoint.server._accounts, endpoint.clock.now()
    for _ in range(12):
        await accounts.require_password(
            "alice", Secret("wonderland"), client_address="192.0.2.1", now=now
        )


async def test_a_made_up_client_takes_no_more_memory_than_a_real_one(endpoint: Endpoint) -> None:
    for number in range(3):
        await endpoint.token(
            None, grant_type="client_credentials", client_secret="x", client_id=f"{number}" * 50_000
        )
    names = endpoint.server._machines._routes[
        "/token"
    ].endpoint._endpoint.authentication.throttle._failures  # type: ignore[attr-defined]  # -- looked at from inside

    assert len(names) == 3
    assert all(len(name) < 300 for name in names)


async def test_keys_made_before_the_clock_was_set_back_still_sign(endpoint: Endpoint) -> None:
    store, sealer, now = MemoryStores().keys, Sealer(b"m" * 32), endpoint.clock.now()
    made = await SigningKeys.load(store, sealer, now=now, algorithm=Algorithm.ES256)

    earlier = await SigningKeys.load(store, sealer, now=now - MINUTE, algorithm=Algorithm.ES256)

    assert earlier.current().kid == made.current().kid


async def test_what_is_over_goes_by_itself_while_a_server_runs(endpoint: Endpoint) -> None:
    sign_in = await endpoint.sign_in()
    endpoint.clock.advance(timedelta(hours=1) + MINUTE + SECOND)
    tidying = asyncio.create_task(endpoint.server.keep_tidy())
    await asyncio.sleep(0.5)
    tidying.cancel()

    answer = await endpoint.server.stores.codes.redeem(
        sign_in.code.digest(), now=endpoint.clock.now()
    )
    assert answer == Unknown()


async def test_who_is_taken_out_of_the_settings_may_not_sign_in_any_more(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    token = await endpoint.refresh_token()
    config = tmp_path / "mintmark.toml"
    config.write_text(config.read_text().partition("[[users]]")[0])
    parts = require_usable(Settings.load(config), tmp_path, endpoint.secrets)
    restarted = await build(
        parts, endpoint.server.stores, clock=endpoint.clock, events=endpoint.events
    )

    assert await restarted._accounts.find("1-alice") is None
    require_refusal(await endpoint.refresh(token), "invalid_grant")
    with pytest.raises(PasswordRefused, match="disabled"):
        await restarted._accounts.require_password(
            "alice", Secret("wonderland"), client_address="", now=endpoint.clock.now()
        )
    restarted._accounts.close()
