"""The application's own token."""

from typing import final

from mintmark.client.authority import Authority
from mintmark.client.keys import ApplicationKey
from mintmark.client.manager import Acquired, TokenManager
from mintmark.client.recipe import HeldRecipe, held_details, require_scope
from mintmark.client.token_endpoint import ClientIdentity, request_tokens
from mintmark.protocol.authorization_details import AuthorizationDetails
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
        self._extra = dict(key.extra)

    def authorization_details(self) -> AuthorizationDetails:
        """What the server granted with the held token (RFC 9396 §7); fetches one if there is none.

        Raises:
            TokenUnavailable.
        """
        return held_details(self._slot, self.token())

    def _acquire(self) -> Acquired:
        request = ClientCredentialsRequest(
            scope=self._scope or None,
            resource=tuple(sorted(self._resource)),
            authorization_details=self._extra.get("authorization_details"),
            claims=self._extra.get("claims"),
        )
        response = request_tokens(self._authority, self._identity, request)
        require_scope(response, self._scope)
        return self._acquired(response)
