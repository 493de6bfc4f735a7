"""A request handed to the server directly, before a browser is sent there (RFC 9126)."""

from mintmark.client.authority import Authority
from mintmark.client.errors import LoginFailed, TokenRefused
from mintmark.client.token_endpoint import ClientIdentity, refusal_of
from mintmark.protocol.par import STATUS, PushedAuthorizationResponse, UnreadablePushedResponse

__all__ = ["push"]


def push(
    authority: Authority, identity: ClientIdentity, parameters: list[tuple[str, str]]
) -> PushedAuthorizationResponse:
    """The server keeps the request, and gives it a name.

    There is no other way once this one is offered: whoever could make it fail could otherwise
    read and change what the browser then carries.

    Raises:
        AuthorityUnavailable: no answer came, or not now.
        LoginFailed: the server refuses this request, or answers something else.
    """
    fetched = identity.post(authority, "pushed_authorization_request_endpoint", parameters)
    # RFC 9126 §2.2. Some servers say 200; what counts is that the answer names the request.
    if fetched.status in (STATUS, 200):
        try:
            return PushedAuthorizationResponse.parse(fetched.body)
        except UnreadablePushedResponse as failure:
            raise LoginFailed(f"the pushed request: {failure}") from None
    refusal = refusal_of(fetched)
    if isinstance(refusal, TokenRefused):
        raise LoginFailed(f"the pushed request was refused: {refusal}", refusal.error)
    raise refusal
