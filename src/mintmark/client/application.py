"""The application's own token."""

from typing import final

from mintmark.client.authority import Authority
from mintmark.client.keys import ApplicationKey
from mintmark.client.manager import Acquired, TokenManager
from mintmark.client.recipe import HeldRecipe, require_scope
from mintmark.client.token_endpoint import ClientIdentity, request_tokens
from mintmark.protocol.token import ClientCredentialsRequest

__all__ = ["ApplicationToken"]


@final
class ApplicationToken(HeldRecipe):
    """The application's own token for one API (RFC 6749 §4.4)."""

    is_personal = False

    def __init__(
        self,
        authority: Authority,
        identity: ClientIdentity,
        manager: TokenManager,
        key: ApplicationKey,
    ) -> None:
        super().__init__(authority, identity, manager, key)
        self._scope = key.scope

    def _acquire(self) -> Acquired:
        request = ClientCredentialsRequest(
            scope=self._scope or None, resource=tuple(sorted(self._resource))
        )
        response = request_tokens(self._authority, self._identity, request)
        require_scope(response, self._scope)
        return self._acquired(response)
