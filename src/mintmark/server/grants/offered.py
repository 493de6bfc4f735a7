"""What the token endpoint offers: a request that can be read, and who answers it.

A grant of one's own is a class for its request and a method that answers it:

    OfferedGrant(VoucherRequest, VoucherGrant(mint=mint).tokens_for)

The metadata names it by itself, and a client may use it once its `grant_types` do too.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, final

from mintmark.protocol.form import Form
from mintmark.protocol.token import TokenResponse
from mintmark.server.asker import Asker

__all__ = ["GrantRequest", "OfferedGrant", "OfferedGrants"]


class GrantRequest(Protocol):
    """The parameters of one grant type."""

    grant_type: ClassVar[str]

    @classmethod
    def parse(cls, form: Form) -> Self:
        """Raises `OAuthError`."""
        ...


R = TypeVar("R", bound=GrantRequest)


@final
@dataclass(frozen=True, slots=True)
class OfferedGrant(Generic[R]):
    """One grant type: how its request is read, and what it is answered with.

    `tokens_for` raises `OAuthError` for a refusal, and nothing else that it could foresee but
    `StoreUnavailable`.
    """

    request: type[R]
    tokens_for: Callable[[R, Asker], Awaitable[TokenResponse]]

    async def answer(self, form: Form, asker: Asker) -> TokenResponse:
        return await self.tokens_for(self.request.parse(form), asker)


@final
class OfferedGrants:
    """All grant types of one server, by name, in the order in which metadata lists them."""

    def __init__(self, *grants: OfferedGrant[Any]) -> None:
        self._grants = {grant.request.grant_type: grant for grant in grants}
        if len(self._grants) != len(grants):
            raise ValueError("a grant type is offered twice")

    @property
    def grant_types(self) -> tuple[str, ...]:
        return tuple(self._grants)

    def find(self, grant_type: str) -> OfferedGrant[Any] | None:
        return self._grants.get(grant_type)
