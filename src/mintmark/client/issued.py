"""What a token endpoint gave for a person, made into what is stored for them."""

from datetime import datetime

from mintmark.client.authority import Authority
from mintmark.client.errors import TokenRefused
from mintmark.client.id_tokens import ReadIdToken, read_id_token
from mintmark.client.stores import StoredToken, UserTokens
from mintmark.client.token_endpoint import ClientIdentity
from mintmark.jose.errors import JoseError
from mintmark.protocol.scope import Scope
from mintmark.protocol.token import TokenResponse

__all__ = ["id_token_of", "user_tokens_of"]


def id_token_of(
    response: TokenResponse, authority: Authority, identity: ClientIdentity, *, now: datetime
) -> ReadIdToken | None:
    """The ID token of an answer that no browser asked for: no nonce was sent, so none may come.

    Raises:
        AuthorityUnavailable: its key cannot be fetched.
        TokenRefused: it does not hold.
    """
    if response.id_token is None:
        return None
    try:
        return read_id_token(
            response.id_token,
            authority,
            identity,
            nonce=None,
            now=now,
            access_token=response.access_token,
        )
    except JoseError as refusal:
        raise TokenRefused("invalid_id_token", refusal.reason) from None


def user_tokens_of(
    response: TokenResponse,
    id_token: ReadIdToken | None,
    *,
    now: datetime,
    scope: Scope,
    resource: frozenset[str],
    jkt: str,
) -> UserTokens:
    """The first version of a session's tokens; `subject` is empty when nobody said who it is."""
    access_token = StoredToken(
        access_token=response.access_token,
        received=now,
        expires_at=now + response.expires_in if response.expires_in else None,
        scope=response.scope if response.scope is not None else scope,
        resource=resource,
        jkt=jkt,
        renew_at=now + response.refresh_in if response.refresh_in else None,
    )
    return UserTokens(
        subject=id_token.id_token.sub if id_token else "",
        refresh_token=response.refresh_token,
        id_token=id_token.signed if id_token else None,
        access_tokens=(access_token,),
    )
