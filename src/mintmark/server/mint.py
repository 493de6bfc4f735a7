"""The tokens of one grant: the only place where tokens are made."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from mintmark.protocol.access_token import mint_access_token
from mintmark.protocol.authorization_details import AuthorizationDetails
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.id_token import mint_id_token
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret
from mintmark.server.asker import Asker
from mintmark.server.claims import claims_about
from mintmark.server.clients import ClientRegistry
from mintmark.server.config import ServerConfig
from mintmark.server.signing_keys import SigningKeys
from mintmark.server.stores import AccountRecord, Grant

__all__ = ["GRANT_CLAIM", "USERINFO_CLAIM", "Mint"]

GRANT_CLAIM: Final = "grant_id"
"""Names the family in a token about a person, so that what was revoked can be told from it."""

USERINFO_CLAIM: Final = "userinfo_claims"
"""Which claims UserInfo answers with beside those of the scope (OIDC Core §5.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mint:
    """Turns a decision into signed text."""

    config: ServerConfig
    clients: ClientRegistry
    keys: SigningKeys

    def audience(
        self, scope: Scope, resource: tuple[str, ...], details: AuthorizationDetails = ()
    ) -> tuple[tuple[str, ...], Scope]:
        """Which API a token is for, and the scope that means something there.

        Raises:
            OAuthError: INVALID_TARGET when it would be several, or one that is not granted.
        """
        possible = self.clients.audience_of(scope, details)
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

    def for_client(self, asker: Asker, scope: Scope, aud: tuple[str, ...]) -> Secret:
        """An application token: the client speaks for itself (RFC 9068 §5)."""
        return self._access_token(asker.client.client_id, {}, asker, scope, aud)

    def for_person(
        self,
        grant: Grant,
        asker: Asker,
        scope: Scope,
        aud: tuple[str, ...],
        details: AuthorizationDetails = (),
    ) -> Secret:
        """A delegated token: the client speaks for somebody who signed in."""
        about: dict[str, Any] = {
            GRANT_CLAIM: grant.family,
            "sid": grant.session,
            "auth_time": _seconds(grant.auth_time),
        }
        if grant.acr is not None:
            about["acr"] = grant.acr
        if grant.amr:
            about["amr"] = list(grant.amr)
        if details:
            about["authorization_details"] = list(details)  # RFC 9396 §9.1
        if grant.userinfo_claims and "openid" in scope:
            about[USERINFO_CLAIM] = list(grant.userinfo_claims)
        return self.about_person(grant.subject, about, asker, scope, aud)

    def about_person(
        self,
        sub: str,
        about: Mapping[str, Any],
        asker: Asker,
        scope: Scope,
        aud: tuple[str, ...],
        *,
        ends: float | None = None,
    ) -> Secret:
        """A token about somebody, with claims that were decided elsewhere.

        Args:
            about: `grant_id` is in it, by which the token dies with what it came from.
            ends: seconds since 1970; it dies then at the latest.
        """
        may_act = self.clients.may_act_at(aud)
        # RFC 8693 §4.4
        more = {"may_act": {"sub": may_act}} if may_act else {}
        return self._access_token(sub, {**about, **more}, asker, scope, aud, ends)

    def lifetime(self, asker: Asker, ends: float | None = None) -> timedelta:
        """How long an access token of this client lives, in whole seconds."""
        lifetime = asker.client.access_token_lifetime or self.config.access_token_lifetime
        if ends is None:
            return lifetime
        return min(lifetime, timedelta(seconds=int(ends) - int(asker.now.timestamp())))

    def _access_token(
        self,
        sub: str,
        about: Mapping[str, Any],
        asker: Asker,
        scope: Scope,
        aud: tuple[str, ...],
        ends: float | None = None,
    ) -> Secret:
        return mint_access_token(
            iss=self.config.issuer,
            sub=sub,
            aud=aud,
            client_id=asker.client.client_id,
            scope=scope,
            jti=secrets.token_urlsafe(16),
            now=asker.now,
            lifetime=self.lifetime(asker, ends),
            key=self.keys.current(),
            # RFC 9449 §6.1
            extra={**about, "cnf": asker.cnf} if asker.cnf else about,
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
            extra=claims_about(account, grant.scope, grant.id_token_claims),
        )


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
