"""A browser's session at the token server."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from mintmark.secret import Secret
from mintmark.server.config import ServerConfig
from mintmark.server.stores import (
    AccountRecord,
    RefreshTokenStore,
    SessionRecord,
    SessionStore,
)

__all__ = ["Sessions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """Begins, finds and ends sessions. The cookie's value is never stored, only its digest."""

    store: SessionStore
    refresh_tokens: RefreshTokenStore
    config: ServerConfig

    async def begin(
        self, account: AccountRecord, previous: Secret | None, *, now: datetime
    ) -> tuple[Secret, SessionRecord]:
        """A new session under a new name; the browser's previous one is over.

        A name that was known before the sign-in, perhaps to somebody else, must not be worth
        more after it. What tokens call the session stays, if it is the same person who signs in
        again: signing out has to end the tokens of the first sign-in too. Another person's
        tokens end here, for nobody could sign out of that session any more.
        """
        sid = secrets.token_urlsafe(16)
        replaced = await self.find(previous, now=now)
        if previous is not None and replaced is not None:
            if replaced.subject == account.subject:
                sid = replaced.sid
                await self.store.end(previous.digest(), now=now)
            else:
                await self.end(previous, now=now)
        cookie = Secret.generate()
        record = SessionRecord(
            digest=cookie.digest(),
            sid=sid,
            subject=account.subject,
            auth_time=now.replace(microsecond=0),
            amr=("pwd",),
            expires=now + self.config.session_lifetime,
        )
        await self.store.add(record)
        return cookie, record

    async def find(self, cookie: Secret | None, *, now: datetime) -> SessionRecord | None:
        return None if cookie is None else await self.store.find(cookie.digest(), now=now)

    async def end(self, cookie: Secret, *, now: datetime) -> SessionRecord | None:
        """End the session and every refresh token that came from it."""
        record = await self.find(cookie, now=now)
        if record is None:
            return None
        # The tokens first: if that fails, there is still a session to try again with.
        await self.refresh_tokens.revoke_session(record.sid, now=now)
        await self.store.end(cookie.digest(), now=now)
        # And once more, for a code that was given out while the session still stood.
        await self.refresh_tokens.revoke_session(record.sid, now=now)
        return record
