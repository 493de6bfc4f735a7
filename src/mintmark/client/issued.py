"""What a token endpoint gave for a person, made into what is stored for them."""

from datetime import datetime

from mintmark.client.authority import Authority
from mintmark.client.errors import TokenRefused
from mintmark.client.stores import StoredToken, UserTokens
from mintmark.client.token_endpoint import ClientIdentity
from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.jose.errors import JoseError
from mintmark.jose.jws import parse
from mintmark.protocol.id_token import IdToken, check_id_token
from mintmark.protocol.scope import Scope
from mintmark.protocol.token import TokenResponse

__all__ = ["id_token_of", "user_tokens_of"]


def id_token_of(
    response: TokenResponse, authority: Authority, identity: ClientIdentity, *, now: datetime
) -> IdToken | None:
    """The ID token of an answer that no browser asked for: no nonce was sent, so none may come.

    Raises:
        AuthorityUnavailable: its key cannot be fetched.
        TokenRefused: it does not hold.
    """
    if response.id_token is None:
        return None
    try:
        kid = parse(response.id_token.reveal()).header.kid
        return check_id_token(
            response.id_token,
            issuer=authority.issuer,
            client_id=identity.client_id,
            keys=authority.keys_for(kid),
            algorithms=ALL_ALGORITHMS,
            nonce=None,
            now=now,
            access_token=response.access_token,
        )
    except JoseError as refusal:
        raise TokenRefused("invalid_id_token", refusal.reason) from None


def user_tokens_of(
    response: TokenResponse,
    id_token: IdToken | None,
    *,
    now: datetime,
    scope: Scope,
    resource: frozenset[str],
) -> UserTokens:
    """The first version of a session's tokens; `subject` is empty when nobody said who it is."""
    access_token = StoredToken(
        access_token=response.access_token,
        received=now,
        expires_at=now + response.expires_in if response.expires_in else None,
        scope=response.scope if response.scope is not None else scope,
        resource=resource,
    )
    return UserTokens(
        subject=id_token.sub if id_token else "",
        refresh_token=response.refresh_token,
        id_token=response.id_token,
        access_tokens=(access_token,),
    )
