"""The tokens of one grant: the only place where tokens are made."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mintmark.protocol.access_token import mint_access_token
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.id_token import mint_id_token
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret
from mintmark.server.clients import Client, ClientRegistry
from mintmark.server.config import ServerConfig
from mintmark.server.signing_keys import SigningKeys
from mintmark.server.stores import AccountRecord, Grant

__all__ = ["Mint", "claims_about"]

PROFILE_CLAIMS = ("name", "given_name", "family_name", "picture", "locale", "zoneinfo", "website")
EMAIL_CLAIMS = ("email",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mint:
    """Turns a decision into signed text."""

    config: ServerConfig
    clients: ClientRegistry
    keys: SigningKeys

    def audience(self, scope: Scope, resource: tuple[str, ...]) -> tuple[tuple[str, ...], Scope]:
        """Which API a token is for, and the scope that means something there.

        Raises:
            OAuthError: INVALID_TARGET when it would be several, or one that is not granted.
        """
        possible = self.clients.audience_of(scope)
        # RFC 8707 §2.2: one of the resources that were granted.
        if resource:
            if len(resource) > 1 or resource[0] not in possible:
                raise OAuthError(ErrorCode.INVALID_TARGET, "resource is not one that was granted")
            return resource, self.clients.scope_at(resource[0], scope)
        # RFC 9068 §3: a scope value that means different things to two APIs is an attack.
        if len(possible) > 1:
            raise OAuthError(ErrorCode.INVALID_TARGET, "name one resource: the scope has several")
        # OIDC's own scopes belong to no API; such a token is good for UserInfo.
        return possible or (self.config.issuer,), scope

    def for_client(
        self, client: Client, scope: Scope, aud: tuple[str, ...], now: datetime
    ) -> Secret:
        """An application token: the client speaks for itself (RFC 9068 §5)."""
        return self._access_token(client.client_id, client, scope, aud, None, now)

    def for_person(
        self, grant: Grant, client: Client, scope: Scope, aud: tuple[str, ...], now: datetime
    ) -> Secret:
        """A delegated token: the client speaks for somebody."""
        extra: dict[str, Any] = {"sid": grant.session, "auth_time": _seconds(grant.auth_time)}
        if grant.acr is not None:
            extra["acr"] = grant.acr
        if grant.amr:
            extra["amr"] = list(grant.amr)
        return self._access_token(grant.subject, client, scope, aud, extra, now)

    def _access_token(
        self,
        sub: str,
        client: Client,
        scope: Scope,
        aud: tuple[str, ...],
        extra: dict[str, Any] | None,
        now: datetime,
    ) -> Secret:
        return mint_access_token(
            iss=self.config.issuer,
            sub=sub,
            aud=aud,
            client_id=client.client_id,
            scope=scope,
            jti=secrets.token_urlsafe(16),
            now=now,
            lifetime=client.access_token_lifetime or self.config.access_token_lifetime,
            key=self.keys.current(),
            extra=extra,
        )

    def id_token(
        self,
        grant: Grant,
        account: AccountRecord,
        access_token: Secret,
        now: datetime,
        *,
        nonce: str | None,
    ) -> Secret:
        """Tells the client who signed in (OIDC Core §2)."""
        return mint_id_token(
            iss=self.config.issuer,
            sub=grant.subject,
            aud=grant.client_id,
            nonce=nonce,
            auth_time=grant.auth_time,
            sid=grant.session,
            access_token=access_token,
            now=now,
            lifetime=self.config.id_token_lifetime,
            key=self.keys.current(),
            acr=grant.acr,
            amr=grant.amr,
            extra=claims_about(account, grant.scope),
        )


def claims_about(account: AccountRecord, scope: Scope) -> dict[str, Any]:
    """What this scope lets a client know of a person (OIDC Core §5.4)."""
    wanted: tuple[str, ...] = ()
    if "profile" in scope:
        wanted += PROFILE_CLAIMS
    if "email" in scope:
        wanted += EMAIL_CLAIMS
    claims: dict[str, Any] = {
        name: account.claims[name] for name in wanted if name in account.claims
    }
    if "profile" in scope:
        claims["preferred_username"] = account.username
    return claims


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
