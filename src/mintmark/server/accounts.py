"""People and their passwords."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import final

import argon2

from mintmark.secret import Secret
from mintmark.server.stores import AccountRecord, AccountStore
from mintmark.server.throttle import Throttle

__all__ = ["Accounts", "PasswordRefused", "hash_password"]

MAX_PASSWORD_LENGTH = 1024
WORKERS = 2
WAITING = 64

# RFC 9106 §4: the second recommended option, 64 MiB.
_hasher = argon2.PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4)


class PasswordRefused(Exception):
    """The name or the password is wrong, the account is disabled, or the pool is full.

    `reason` is for the log; the person is told the same words every time.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def hash_password(password: Secret) -> str:
    """Argon2id, in its own text form."""
    return _hasher.hash(password.reveal())


@final
class Accounts:
    """Checks passwords in a small pool, so that sign-ins cannot starve the token endpoint."""

    def __init__(self, store: AccountStore) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="mintmark-password")
        self._waiting = 0
        # Somebody who does not exist takes as long as a wrong password.
        self._decoy = _hasher.hash(secrets.token_urlsafe(16))
        self._throttle = Throttle(limit=10, window=timedelta(minutes=5))

    async def find(self, subject: str) -> AccountRecord | None:
        """The account, unless it is gone or disabled."""
        account = await self._store.find(subject)
        return None if account is None or account.disabled else account

    async def require_password(
        self, username: str, password: Secret, *, client_address: str, now: datetime
    ) -> AccountRecord:
        """The person with this name and password.

        Raises:
            PasswordRefused, TooManyAttempts.
        """
        account_name = f"account {username.casefold()[:200]}"
        # An address gets more tries than an account: a whole company may share one.
        names = (account_name, f"{account_name}@{client_address}")
        self._throttle.require_allowed(*names, now=now)
        if self._waiting >= WAITING:
            raise PasswordRefused("too many sign-ins are waiting")
        # Counted before it is judged: a hash takes a tenth of a second, and guesses that are sent
        # side by side would all be let past the limit meanwhile. A right password forgives them.
        self._throttle.failed(*names, now=now)
        account = await self._store.find_by_username(username)
        matches = await self._matches(account.password_hash if account else self._decoy, password)
        if account is None or not matches or account.disabled:
            raise PasswordRefused(
                "unknown name" if account is None else "disabled" if matches else "wrong password"
            )
        self._throttle.succeeded(*names)
        return account

    async def _matches(self, password_hash: str, password: Secret) -> bool:
        if len(password.reveal()) > MAX_PASSWORD_LENGTH:
            return False
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, _verify, password_hash, password)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _verify(password_hash: str, password: Secret) -> bool:
    try:
        return _hasher.verify(password_hash, password.reveal())
    except argon2.exceptions.Argon2Error:
        return False
    except argon2.exceptions.InvalidHashError:
        return False
