"""A token on the word of an issuer that is trusted (RFC 7523 §2.1), or on behalf of a caller."""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from mintmark.jose.errors import JoseError, KeyNotFound
from mintmark.jose.key_set import KeySet
from mintmark.protocol.assertion import Assertion, check_assertion, claimed_issuer
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.jwt_bearer import ON_BEHALF_OF, JwtBearerRequest
from mintmark.protocol.scope import Scope
from mintmark.protocol.token import TokenResponse
from mintmark.server.accounts import Accounts
from mintmark.server.asker import Asker
from mintmark.server.assertion_issuers import AssertionIssuer, KeysUnavailable
from mintmark.server.exchange import Exchange, Wanted
from mintmark.server.mint import GRANT_CLAIM, Mint
from mintmark.server.presented import PresentedRefused
from mintmark.server.stores import AlreadyClaimed, AssertionStore

__all__ = ["JwtBearerGrant"]

ALL_OF: Final = "/.default"
"""What the Microsoft dialect puts behind a resource to mean all of its scope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtBearerGrant:
    """Two grants under one name: `requested_token_use` says which of them is meant."""

    exchange: Exchange
    issuers: Mapping[str, AssertionIssuer]  # by what they call themselves
    audiences: frozenset[str]  # what this server is called: its issuer and its token endpoint
    assertions: AssertionStore
    accounts: Accounts
    mint: Mint

    async def tokens_for(self, request: JwtBearerRequest, asker: Asker) -> TokenResponse:
        if request.authorization_details is not None:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "authorization_details is not offered")
        if request.requested_token_use == ON_BEHALF_OF:
            return await self._on_behalf(request, asker)
        if request.requested_token_use is not None:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "requested_token_use is not known")
        return await self._on_its_word(request, asker)

    async def _on_behalf(self, request: JwtBearerRequest, asker: Asker) -> TokenResponse:
        targets, scope = read_targets(request)
        wanted = Wanted(subject_token=request.assertion, targets=targets, scope=scope)
        try:
            exchanged = await self.exchange.exchanged(wanted, asker)
        except PresentedRefused as refusal:
            raise refused(refusal.reason) from None
        return TokenResponse(
            access_token=exchanged.access_token,
            token_type=asker.token_type,
            expires_in=exchanged.expires_in,
            scope=exchanged.scope,
        )

    async def _on_its_word(self, request: JwtBearerRequest, asker: Asker) -> TokenResponse:
        issuer, assertion = await self._require_assertion(request, asker)
        subject = issuer.subjects.get(assertion.subject)
        if subject is None or await self.accounts.find(subject) is None:
            raise refused("it speaks of nobody known here, or of a disabled account")
        scope = require_allowed(request.scope, issuer.scope & asker.client.scope)
        aud, scope = self.mint.audience(scope, request.resource)
        # Everything that can be refused is refused before the assertion is used up.
        await self._use_up(assertion, asker)
        about = {GRANT_CLAIM: secrets.token_hex(16)}
        return TokenResponse(
            access_token=self.mint.about_person(subject, about, asker, scope, aud),
            token_type=asker.token_type,
            expires_in=self.mint.lifetime(asker),
            scope=scope,
        )

    async def _require_assertion(
        self, request: JwtBearerRequest, asker: Asker
    ) -> tuple[AssertionIssuer, Assertion]:
        try:
            issuer = self.issuers.get(claimed_issuer(request.assertion))
            # One refusal for both: nobody learns who is trusted here.
            if issuer is None or asker.client.client_id not in issuer.clients:
                raise refused("its issuer is not trusted with this client")
            assertion = await self._checked(request, issuer, asker.now)
        except JoseError as refusal:
            raise refused(refusal.reason) from None
        except KeysUnavailable:
            raise OAuthError(
                ErrorCode.TEMPORARILY_UNAVAILABLE, "the issuer's keys could not be had"
            ) from None
        for name, value in issuer.claims.items():
            # `==` alone would take 1 for true.
            if name not in assertion.claims or not _same(assertion.claims[name], value):
                raise refused("a claim that this issuer must make is missing or another")
        return issuer, assertion

    async def _checked(
        self, request: JwtBearerRequest, issuer: AssertionIssuer, now: datetime
    ) -> Assertion:
        try:
            keys = await issuer.keys.at(now)
            return self._check(request, issuer, keys, now)
        except KeyNotFound:
            return self._check(request, issuer, await issuer.keys.renewed(now), now)

    def _check(
        self, request: JwtBearerRequest, issuer: AssertionIssuer, keys: KeySet, now: datetime
    ) -> Assertion:
        return check_assertion(
            request.assertion,
            issuer=issuer.issuer,
            audiences=self.audiences,
            keys=keys,
            now=now.timestamp(),
        )

    async def _use_up(self, assertion: Assertion, asker: Asker) -> None:
        # RFC 7523 §3 (7): a `jti` is unique among one issuer's. The first word keeps these apart
        # from what clients prove themselves with, and JSON keeps the others apart.
        name = msgspec.json.encode(["grant", assertion.issuer, assertion.jti])
        ends = datetime.fromtimestamp(assertion.ends, UTC)
        try:
            await self.assertions.claim(hashlib.sha256(name).digest(), ends=ends, now=asker.now)
        except AlreadyClaimed:
            raise refused("it was used before") from None


def read_targets(request: JwtBearerRequest) -> tuple[tuple[str, ...], Scope | None]:
    """For which API, and how much of it: the Microsoft dialect says both by the scope."""
    scope = request.scope or frozenset()
    whole = tuple(one.removesuffix(ALL_OF) for one in sorted(scope) if one.endswith(ALL_OF))
    rest = frozenset(one for one in scope if not one.endswith(ALL_OF))
    if whole and rest:
        raise OAuthError(ErrorCode.INVALID_SCOPE, ".default stands alone")
    return (*request.resource, *whole), rest or None


def require_allowed(asked: Scope | None, allowed: Scope) -> Scope:
    """What was asked for, or all that this issuer's word is good for."""
    # RFC 6749 §5.2
    if not allowed or not (asked is None or asked <= allowed):
        raise OAuthError(ErrorCode.INVALID_SCOPE, "the scope is not one this assertion is good for")
    return allowed if asked is None else asked


def refused(reason: str) -> OAuthError:
    """One answer for every assertion that is not good (RFC 7521 §4.1.1); our log learns why."""
    return OAuthError(ErrorCode.INVALID_GRANT, "the assertion is not valid", reason=reason)


def _same(said: object, wanted: object) -> bool:
    return type(said) is type(wanted) and said == wanted
