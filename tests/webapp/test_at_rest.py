"""W-06: what lies on the disk of a web application is of no use to whoever takes it."""

import asyncio
import os
import pickle
import sqlite3
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.webapp.conftest import Browser, Shop, make_shop

from mintmark.clock import monotonic
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority
from mintmark.webapp.vault import Unreadable, Vault


def everything_in(path: Path) -> bytes:
    """The database with its write-ahead log."""
    return b"".join(one.read_bytes() for one in path.parent.glob(path.name + "*"))


async def test_w06_s07_no_token_no_name_and_no_cookie_lies_on_the_disk(
    browser: Browser, shop: Shop
) -> None:
    await browser.begin()
    await browser.sign_in()
    stored = shop.sessions.load(browser.session())
    assert stored is not None
    secrets = [browser.session(), stored.refresh_token, stored.id_token]
    secrets += [one.access_token for one in stored.access_tokens]
    found = everything_in(shop.path)

    for secret in secrets:
        assert secret is not None
        assert secret.reveal().encode() not in found
        assert secret.reveal().rpartition(".")[2].encode() not in found
    assert b"alice" not in found


async def test_s07_w06_tokens_moved_to_anothers_row_do_not_open(
    browser: Browser, shop: Shop
) -> None:
    await browser.sign_in()
    mallory = shop.browser()
    await mallory.sign_in()
    with sqlite3.connect(shop.path) as connection:
        connection.execute(
            "UPDATE web_sessions SET (tokens, person) ="
            " (SELECT tokens, person FROM web_sessions WHERE digest = ?) WHERE digest = ?",
            (browser.session().digest(), mallory.session().digest()),
        )
    connection.close()

    assert shop.sessions.load(mallory.session()) is None
    assert await mallory.who() is None
    assert await browser.who() == "alice"
    await mallory.http.aclose()


async def test_s07_under_another_key_everybody_is_signed_out_and_nothing_breaks(
    browser: Browser, shop: Shop, authority: FakeAuthority, key: bytes
) -> None:
    await browser.sign_in()
    for other_key, expected in ((os.urandom(32), None), (key, "alice")):
        other = make_shop(shop.path, authority, shop.clock, other_key)
        visitor = other.browser()
        visitor.cookies = dict(browser.cookies)
        assert await visitor.who() == expected
        await visitor.http.aclose()
        other.sessions.close()
        other.client.close()


def test_an_old_key_opens_and_the_first_one_seals() -> None:
    old, new = os.urandom(32), os.urandom(32)
    sealed = Vault(old).seal(b"content", b"row")

    assert Vault(new, old).open(sealed, b"row") == b"content"
    with pytest.raises(Unreadable):
        Vault(old).open(Vault(new, old).seal(b"content", b"row"), b"row")


@pytest.mark.parametrize("sealed", [b"", b"a", b"a" * 12, b"a" * 28, b"a" * 100])
def test_what_was_never_sealed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(Unreadable):
        Vault(os.urandom(32)).open(sealed, b"row")


def test_one_changed_bit_or_another_row_does_not_open() -> None:
    vault = Vault(os.urandom(32))
    sealed = vault.seal(b"content", b"row")

    with pytest.raises(Unreadable):
        vault.open(sealed, b"other row")
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(Unreadable):
            vault.open(changed, b"row")


def test_a_vault_has_whole_keys_and_keeps_them() -> None:
    for keys in ((), (b"short",), (os.urandom(32), b"")):
        with pytest.raises(ValueError, match="32 bytes"):
            Vault(*keys)
    vault = Vault(b"k" * 32)
    assert "kkkk" not in repr(vault)
    with pytest.raises(TypeError):
        pickle.dumps(vault)


async def test_a_session_that_is_over_is_deleted_at_the_next_sign_in(
    browser: Browser, shop: Shop
) -> None:
    await browser.sign_in()
    old = browser.session()
    shop.clock.advance(timedelta(hours=13))
    browser.cookies.clear()
    await browser.sign_in()

    assert shop.sessions.load(old) is None
    assert isinstance(browser.session(), Secret)


async def test_sign_ins_that_nobody_finishes_do_not_pile_up(browser: Browser, shop: Shop) -> None:
    """Anybody can begin one: whoever never comes back must not fill the disk."""
    for _ in range(5):
        await browser.begin()
    shop.clock.advance(timedelta(minutes=10, seconds=1))
    await browser.begin()

    with sqlite3.connect(shop.path) as connection:
        (kept,) = connection.execute("SELECT count(*) FROM web_attempts").fetchone()
    connection.close()
    assert kept == 1


async def test_who_is_signed_in_stays_so_while_the_disk_is_full(
    browser: Browser, shop: Shop
) -> None:
    await browser.sign_in()
    shop.clock.advance(timedelta(minutes=2))
    shop.sessions._connection.execute("PRAGMA query_only = 1")

    assert await browser.who() == "alice"


async def test_a_store_that_waits_stops_nobody_else(
    browser: Browser, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await browser.sign_in()
    real = shop.sessions.find

    def slow(*arguments: Any, **more: Any) -> Any:
        time.sleep(0.3)
        return real(*arguments, **more)

    monkeypatch.setattr(type(shop.sessions), "find", lambda _, *a, **m: slow(*a, **m))
    asking = asyncio.create_task(browser.who())
    began = monotonic()
    await asyncio.sleep(0.05)
    waited = monotonic() - began

    assert waited < 0.2
    assert await asking == "alice"
