"""All grants of a server, put together; and how a grant of one's own joins them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, final

from mintmark.events import Events
from mintmark.protocol.device import DeviceCodeRequest
from mintmark.protocol.jwt_bearer import JwtBearerRequest
from mintmark.protocol.token import (
    AuthorizationCodeRequest,
    ClientCredentialsRequest,
    RefreshTokenRequest,
    TokenResponse,
)
from mintmark.protocol.token_exchange import TokenExchangeRequest
from mintmark.server.accounts import Accounts
from mintmark.server.asker import Asker
from mintmark.server.assertion_issuers import AssertionIssuer
from mintmark.server.clients import ClientRegistry
from mintmark.server.config import ServerConfig
from mintmark.server.exchange import Exchange
from mintmark.server.first_tokens import FirstTokens
from mintmark.server.grants.authorization_code import AuthorizationCodeGrant
from mintmark.server.grants.client_credentials import ClientCredentialsGrant
from mintmark.server.grants.device_code import DeviceCodeGrant
from mintmark.server.grants.jwt_bearer import JwtBearerGrant
from mintmark.server.grants.offered import GrantRequest, OfferedGrant, OfferedGrants
from mintmark.server.grants.refresh_token import RefreshTokenGrant
from mintmark.server.grants.token_exchange import TokenExchangeGrant
from mintmark.server.mint import Mint
from mintmark.server.presented import PresentedTokens
from mintmark.server.stores import Stores

__all__ = ["OFFERED", "GrantParts", "OwnGrant", "make_grants"]

OFFERED = (
    AuthorizationCodeRequest.grant_type,
    RefreshTokenRequest.grant_type,
    ClientCredentialsRequest.grant_type,
    TokenExchangeRequest.grant_type,
    JwtBearerRequest.grant_type,
    DeviceCodeRequest.grant_type,
)
"""The grant types that every server has. A client uses those that it is registered for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantParts:
    """What a grant may be made of."""

    config: ServerConfig
    clients: ClientRegistry
    stores: Stores
    accounts: Accounts
    mint: Mint
    presented: PresentedTokens
    events: Events


R = TypeVar("R", bound=GrantRequest)


@final
@dataclass(frozen=True, slots=True)
class OwnGrant(Generic[R]):
    """A grant type that is not ours: the class of its request, and what answers it.

    `make` is called once, at the start, and gives the method that answers. Metadata names the
    grant type by itself; clients use it that have it in their `grant_types`.
    """

    request: type[R]
    make: Callable[[GrantParts], Callable[[R, Asker], Awaitable[TokenResponse]]]

    @property
    def grant_type(self) -> str:
        return self.request.grant_type


def make_grants(
    parts: GrantParts, issuers: Mapping[str, AssertionIssuer], own: Sequence[OwnGrant[Any]]
) -> OfferedGrants:
    """Ours, and then those of the operator's own."""
    config, stores, mint = parts.config, parts.stores, parts.mint
    first = FirstTokens(
        refresh_tokens=stores.refresh_tokens,
        accounts=parts.accounts,
        mint=mint,
        policy=config.refresh_tokens,
    )
    code = AuthorizationCodeGrant(
        codes=stores.codes, refresh_tokens=stores.refresh_tokens, first=first, events=parts.events
    )
    device = DeviceCodeGrant(
        devices=stores.devices, refresh_tokens=stores.refresh_tokens, first=first
    )
    refresh = RefreshTokenGrant(
        refresh_tokens=stores.refresh_tokens,
        accounts=parts.accounts,
        mint=mint,
        policy=config.refresh_tokens,
        events=parts.events,
    )
    exchange = Exchange(
        presented=parts.presented, clients=parts.clients, mint=mint, events=parts.events
    )
    bearer = JwtBearerGrant(
        exchange=exchange,
        issuers=issuers,
        audiences=frozenset({config.issuer, config.url("/token")}),
        assertions=stores.assertions,
        accounts=parts.accounts,
        mint=mint,
    )
    return OfferedGrants(
        OfferedGrant(AuthorizationCodeRequest, code.tokens_for),
        OfferedGrant(RefreshTokenRequest, refresh.tokens_for),
        OfferedGrant(ClientCredentialsRequest, ClientCredentialsGrant(mint=mint).tokens_for),
        OfferedGrant(TokenExchangeRequest, TokenExchangeGrant(exchange=exchange).tokens_for),
        OfferedGrant(JwtBearerRequest, bearer.tokens_for),
        OfferedGrant(DeviceCodeRequest, device.tokens_for),
        *(OfferedGrant(one.request, one.make(parts)) for one in own),
    )
