"""What a client may know of the person who signed in (OIDC Core §5.3)."""

import re
from dataclasses import dataclass

import msgspec

from mintmark.clock import Clock
from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.jose.errors import JoseError
from mintmark.protocol.access_token import AccessToken, read_access_token, require_valid
from mintmark.protocol.challenge import render_challenge
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.message import (
    NO_STORE,
    HeaderList,
    HttpRequest,
    HttpResponse,
    error_answer,
    json_answer,
)
from mintmark.server.accounts import Accounts
from mintmark.server.claims import claims_about
from mintmark.server.config import ServerConfig
from mintmark.server.mint import USERINFO_CLAIM
from mintmark.server.proofs import Proofs
from mintmark.server.signing_keys import SigningKeys

__all__ = ["UserInfoEndpoint"]

# RFC 6750 §2.1: the scheme in any case, blanks, and one b64token.
_CREDENTIALS = re.compile(r"(bearer|dpop) +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserInfoEndpoint:
    """Answers with claims to a token of our own that has the scope `openid`."""

    config: ServerConfig
    keys: SigningKeys
    accounts: Accounts
    proofs: Proofs
    clock: Clock

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        try:
            token = await self._require_token(request)
        except OAuthError as refusal:
            answer = error_answer(refusal, _challenge(refusal))
            # RFC 9449 §7.1: at a resource a bad proof is what a bad token is.
            proof = refusal.code is ErrorCode.INVALID_DPOP_PROOF
            return HttpResponse(401 if proof else answer.status, answer.headers, answer.body)
        except _NoToken:
            return HttpResponse(401, (*NO_STORE, *_challenge(None)))
        account = await self.accounts.find(token.sub)
        if account is None:
            gone = OAuthError(ErrorCode.INVALID_TOKEN, "the token is not valid")
            return error_answer(gone, _challenge(gone))
        named = token.claims.get(USERINFO_CLAIM, ())
        claims = {"sub": token.sub, **claims_about(account, token.scopes, named)}
        return json_answer(msgspec.json.encode(claims))

    async def _require_token(self, request: HttpRequest) -> AccessToken:
        authorization = request.header(b"authorization")
        if authorization is None or not authorization.lower().startswith(("bearer", "dpop")):
            raise _NoToken
        match = _CREDENTIALS.fullmatch(authorization)
        if match is None:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "the Authorization header is malformed")
        try:
            unchecked = read_access_token(match.group(2))
            # Whichever API the token is for: OIDC Core §5.3.1 lets it be used here too, when it
            # has `openid`. Issuer, signature, type and time are checked as everywhere.
            token = require_valid(
                unchecked,
                issuer=self.config.issuer,
                audience=_own_audience(unchecked.claims.get("aud"), self.config.issuer),
                keys=self.keys.key_set,
                algorithms=ALL_ALGORITHMS,
                now=self.clock.timestamp(),
            )
        except JoseError as refusal:
            raise OAuthError(
                ErrorCode.INVALID_TOKEN, "the token is not valid", reason=refusal.reason
            ) from None
        await self._require_binding(request, token, match.group(1).lower(), match.group(2))
        # OIDC Core §5.3: UserInfo belongs to `openid`, and an application has no person.
        if "openid" not in token.scopes:
            raise OAuthError(ErrorCode.INSUFFICIENT_SCOPE, "the token has no openid scope")
        return token

    async def _require_binding(
        self, request: HttpRequest, token: AccessToken, scheme: str, text: str
    ) -> str:
        jkt = token.cnf.get("jkt", "")
        # RFC 9449 §7.1: a bound token is no bearer token, whoever sends it; nor is any other
        # binding one that could be proved here.
        if token.cnf.keys() != ({"jkt"} if scheme == "dpop" else set()):
            raise OAuthError(ErrorCode.INVALID_TOKEN, "the token is not valid", reason="binding")
        if not jkt:
            return ""
        return await self.proofs.require_holder(request, text, jkt, now=self.clock.now())


class _NoToken(Exception):
    """The request came without credentials."""


def _own_audience(aud: object, issuer: str) -> str:
    if isinstance(aud, list) and aud:
        aud = aud[0]
    return aud if isinstance(aud, str) else issuer


def _challenge(refusal: OAuthError | None) -> HeaderList:
    # RFC 6750 §3.1: without credentials there is nothing to say about them.
    parameters = [] if refusal is None else [("error", refusal.code.value)]
    if refusal is not None and refusal.code is ErrorCode.INSUFFICIENT_SCOPE:
        parameters.append(("scope", "openid"))
    # RFC 9449 §7.1: both schemes are taken, each for its own tokens.
    algorithms = [("algs", " ".join(sorted(ALL_ALGORITHMS)))]
    return (
        (b"www-authenticate", render_challenge("Bearer", parameters).encode("ascii")),
        (b"www-authenticate", render_challenge("DPoP", parameters + algorithms).encode("ascii")),
    )
