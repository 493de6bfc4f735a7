"""The checks of an authorization request, each named as what it requires."""

import re

from mintmark.protocol.authorization import AuthorizationRequest
from mintmark.protocol.authorization_details import AuthorizationDetails
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.redirect_uri import require_registered
from mintmark.server.clients import Client, ClientRegistry

__all__ = [
    "require_allowed_scope",
    "require_client",
    "require_code_grant",
    "require_known_resource",
    "require_redirect_uri",
    "require_thumbprint",
]

# RFC 7638 §3: the base64url of a SHA-256.
_THUMBPRINT = re.compile(r"[A-Za-z0-9\-_]{43}")


def require_client(form: Form, clients: ClientRegistry) -> Client:
    """The client that is asking. Its refusal is shown to the person, never redirected."""
    client = clients.find(form.required("client_id", str))
    # RFC 6749 §4.1.2.1: an unknown client has no address to be answered at.
    if client is None:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "this application is not registered here")
    return client


def require_redirect_uri(form: Form, client: Client) -> str:
    """Where the answer goes. Its refusal, too, is shown and never redirected."""
    return require_registered(form.required("redirect_uri", str), client.redirect_uris)


def require_code_grant(client: Client) -> Client:
    """Refuse a client that is not registered for this flow."""
    if "authorization_code" not in client.grant_types:
        raise OAuthError(ErrorCode.UNAUTHORIZED_CLIENT, "this client may not sign people in")
    return client


def require_allowed_scope(
    request: AuthorizationRequest, client: Client, details: AuthorizationDetails = ()
) -> AuthorizationRequest:
    """Refuse scope values that the client is not registered for."""
    # RFC 6749 §4.1.2.1: said, not silently narrowed, so that nobody hunts for a missing value.
    # RFC 9396 §3: details may stand alone.
    if not (request.scope or details) or not request.scope <= client.scope:
        raise OAuthError(ErrorCode.INVALID_SCOPE, "the scope is not one this client may have")
    return request


def require_known_resource(
    request: AuthorizationRequest, clients: ClientRegistry, details: AuthorizationDetails = ()
) -> AuthorizationRequest:
    """Refuse resources that none of the asked scope values belong to."""
    # RFC 8707 §2.1
    if not set(request.resource) <= set(clients.audience_of(request.scope, details)):
        raise OAuthError(ErrorCode.INVALID_TARGET, "resource does not go with the scope")
    return request


def require_thumbprint(request: AuthorizationRequest) -> AuthorizationRequest:
    """Refuse a `dpop_jkt` that no key can have: its code could never be redeemed."""
    # RFC 9449 §10
    if request.dpop_jkt is not None and _THUMBPRINT.fullmatch(request.dpop_jkt) is None:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "dpop_jkt is no thumbprint of a key")
    return request
