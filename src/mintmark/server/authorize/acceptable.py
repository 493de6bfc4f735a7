"""What every authorization request is held to, whether a browser brings it or its client pushes it."""

from dataclasses import dataclass

from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.jose.errors import JoseError
from mintmark.protocol.authorization import AuthorizationRequest
from mintmark.protocol.authorization_details import AuthorizationDetails, parse_details
from mintmark.protocol.claims_request import ClaimsRequest
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.id_token import read_id_token_hint
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret
from mintmark.server.authorize.arrival import Arrival
from mintmark.server.authorize.checks import (
    require_allowed_scope,
    require_code_grant,
    require_known_resource,
    require_thumbprint,
)
from mintmark.server.authorize.respond import is_postable
from mintmark.server.claims import covering
from mintmark.server.clients import Client, ClientRegistry
from mintmark.server.config import ServerConfig
from mintmark.server.signing_keys import SigningKeys

__all__ = ["Asked", "Judge", "require_signature"]

MAX_DETAILS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that was judged, its JSON read."""

    request: AuthorizationRequest
    claims: ClaimsRequest
    details: AuthorizationDetails

    def to_agree(self, client: Client) -> Scope:
        """What a person agrees to: the scope, and what stands for claims asked for by name."""
        named = covering(self.claims.id_token | self.claims.userinfo)
        return self.request.scope | (named & client.scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Every check of a request, in its order."""

    config: ServerConfig
    clients: ClientRegistry
    keys: SigningKeys

    def require_acceptable(self, form: Form, client: Client) -> Asked:
        """Raises `OAuthError`."""
        request = AuthorizationRequest.parse(form)
        require_code_grant(client)
        require_postable(request)
        details = require_allowed_details(request, client, self.clients)
        require_allowed_scope(request, client, details)
        require_known_resource(request, self.clients, details)
        require_thumbprint(request)
        claims = require_attainable(ClaimsRequest.parse(request.claims))
        return Asked(request=request, claims=claims, details=details)

    def require_way(self, arrival: Arrival, client: Client) -> Arrival:
        """Refuse a request that did not come the way its client, or the server, demands."""
        # RFC 9126 §5, §6
        if not arrival.pushed and (
            self.config.require_pushed_requests or client.requires_pushed_requests
        ):
            raise OAuthError(ErrorCode.INVALID_REQUEST, "this request has to be pushed first")
        return require_signature(arrival, client)

    def hinted(self, asked: Asked) -> str:
        """The one person who may be signed in; empty for anybody.

        Raises:
            OAuthError: INVALID_REQUEST for a hint that is not ours, or for two people.
        """
        subject = asked.claims.subject or ""
        if asked.request.id_token_hint is None:
            return subject
        hinted = self._subject_of(asked.request.id_token_hint, asked.request.client_id)
        if subject and subject != hinted:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "two people are asked for")
        return hinted

    def _subject_of(self, hint: Secret, client_id: str) -> str:
        try:
            token = read_id_token_hint(
                hint,
                issuer=self.config.issuer,
                keys=self.keys.key_set,
                algorithms=ALL_ALGORITHMS,
            )
        except JoseError:
            raise OAuthError(
                ErrorCode.INVALID_REQUEST, "id_token_hint is not an ID token of this server"
            ) from None
        # OIDC Core §3.1.2.1: issued to whoever now asks, or one client could probe another's.
        if client_id not in token.aud:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "id_token_hint is another client's")
        return token.sub


def require_signature(arrival: Arrival, client: Client) -> Arrival:
    # RFC 9101 §10.5
    if client.requires_signed_requests and not arrival.signed:
        raise OAuthError(ErrorCode.INVALID_REQUEST_OBJECT, "this client has to sign its requests")
    return arrival


def require_postable(request: AuthorizationRequest) -> AuthorizationRequest:
    posted = request.response_mode is not None and request.response_mode.is_posted
    if posted and not is_postable(request.redirect_uri):
        raise OAuthError(ErrorCode.INVALID_REQUEST, "a form cannot be posted to this address")
    return request


def require_attainable(claims: ClaimsRequest) -> ClaimsRequest:
    # OIDC Core §5.5.1.1: an essential `acr` that cannot be had is a sign-in that failed. There is
    # one way to sign in here, and it is called nothing.
    if claims.essential_acr:
        raise OAuthError(ErrorCode.UNMET_AUTHENTICATION_REQUIREMENTS, "no such sign-in is offered")
    return claims


def require_allowed_details(
    request: AuthorizationRequest, client: Client, clients: ClientRegistry
) -> AuthorizationDetails:
    """Details of types that a resource declares and this client may ask for (RFC 9396 §5)."""
    if request.authorization_details is None:
        return ()
    try:
        details = parse_details(request.authorization_details)
    except ValueError:
        raise _bad_details() from None
    known = client.detail_types & clients.detail_descriptions.keys()
    if len(details) > MAX_DETAILS or any(one["type"] not in known for one in details):
        raise _bad_details()
    return details


def _bad_details() -> OAuthError:
    return OAuthError(
        ErrorCode.INVALID_AUTHORIZATION_DETAILS, "authorization_details are not acceptable"
    )
