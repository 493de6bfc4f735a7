"""An identity at a token server, and everything it can ask for."""

import os
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import replace
from typing import Any, Self, final

from mintmark.client.application import ApplicationToken
from mintmark.client.authority import Authority
from mintmark.client.binding import Sender
from mintmark.client.bound import Binding, for_application, for_session, showing
from mintmark.client.delegated import DelegatedToken
from mintmark.client.dpop import DPoP
from mintmark.client.environment import settings_from
from mintmark.client.errors import AuthorityUnavailable, TokenRefused
from mintmark.client.further_grants import FurtherGrants
from mintmark.client.keys import ApplicationKey, DelegatedKey
from mintmark.client.login import LoginFlow
from mintmark.client.manager import TokenManager
from mintmark.client.proof import ClientProof, ClientSecret, PublicClient
from mintmark.client.request_signing import RequestSigning
from mintmark.client.requested import requested_extra
from mintmark.client.requested import requested_resources as _resources
from mintmark.client.requested import requested_scope as _scope
from mintmark.client.responses import RegisteredResponses
from mintmark.client.stores import UserTokenStore
from mintmark.client.token_endpoint import ClientIdentity
from mintmark.client.userinfo import fetch_userinfo
from mintmark.protocol.authorization import ResponseMode, redirect_with
from mintmark.protocol.client_authentication import ClientAuthenticationMethod
from mintmark.protocol.logout import EndSessionRequest
from mintmark.protocol.revocation import RevocationRequest
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret

__all__ = ["Client"]


@final
class Client(FurtherGrants):
    """One client at one authority. Make it once and share it.

    Args:
        proof: how this client proves itself; none for a public client, which cannot have
            application tokens.
        client_secret: short for `proof=ClientSecret(client_secret, method)`.
        method: how that secret is sent; HTTP Basic unless the server wants it in the form.
        binding: what tokens are bound to, `DPoP()` or `MutualTls(certificate)`; a recipe can name
            another one.
        tokens: where tokens are held; a manager of its own unless one is given.
        responses: what was registered about ID tokens and other JWTs that come to this client.
        scope, resource: what `app_token` asks for when it is not told.
    """

    def __init__(
        self,
        authority: Authority,
        *,
        client_id: str,
        proof: ClientProof | None = None,
        client_secret: Secret | Callable[[], Secret] | None = None,
        method: ClientAuthenticationMethod | None = None,
        tokens: TokenManager | None = None,
        responses: RegisteredResponses | None = None,
        binding: Binding | None = None,
        scope: str | Scope = "",
        resource: str | Iterable[str] = (),
    ) -> None:
        self.authority = authority
        self.tokens = tokens or TokenManager()
        self._scope, self._resource = _scope(scope), _resources(resource)
        self._binding = binding
        self._identity = showing(
            ClientIdentity(
                client_id=client_id,
                proof=_proof(proof, client_secret, method),
                responses=responses or RegisteredResponses(),
            ),
            authority,
            binding,
        )

    @classmethod
    def from_env(
        cls,
        prefix: str,
        *,
        environment: Mapping[str, str] | None = None,
        tokens: TokenManager | None = None,
    ) -> Self:
        """A client as variables say: `ORDERS_ISSUER`, `ORDERS_CLIENT_ID` and so on for `ORDERS`.

        Which there are is said in `mintmark.client.environment`.

        Raises:
            EnvironmentRefused: naming every variable that is wrong, and the value of none.
        """
        found = settings_from(prefix, os.environ if environment is None else environment)
        clock = tokens.clock if tokens is not None else None
        return cls(
            Authority(found.issuer, policy=found.policy, clock=clock),
            client_id=found.client_id,
            proof=found.proof,
            tokens=tokens,
            scope=found.scope,
            resource=found.resource,
        )

    def for_tenant(self, tenant: str) -> Self:
        """The same client, with tokens that no other tenant is handed.

        Whose settings name another one's issuer and `client_id` must not get what was fetched with
        that one's secret.
        """
        made = copy(self)
        made._whose = frozenset({("tenant", tenant)})  # noqa: SLF001 -- another of this class
        return made

    @property
    def client_id(self) -> str:
        return self._identity.client_id

    def app_token(
        self,
        *,
        scope: str | Scope = "",
        resource: str | Iterable[str] = (),
        authorization_details: Iterable[Mapping[str, Any]] = (),
        claims: Mapping[str, Any] | str | None = None,
        binding: Binding | None = None,
    ) -> ApplicationToken:
        """The application's own token for an API. Equal calls share one token.

        Args:
            scope: scope values, as text or as a set; empty asks for the client's own default, or
                else for all it may have.
            resource: the API's identifier; its origin is where the token may be sent.
            authorization_details: what exactly is to be done (RFC 9396 §6).
            claims: of a claims challenge, as an object or as the JSON that came.
            binding: what the token is bound to, if that is not the client's.
        """
        extra = requested_extra(authorization_details, claims)
        key = ApplicationKey(
            issuer=self.authority.issuer,
            client_id=self.client_id,
            scope=_scope(scope) or self._scope,
            resource=_resources(resource) or self._resource,
            extra=extra | self._whose,
        )
        bound = binding or self._binding
        identity = for_application(self._identity, self.authority, bound)
        return ApplicationToken(self.authority, identity, self.tokens, key)

    def user_token(
        self,
        session: Secret,
        store: UserTokenStore,
        *,
        scope: str | Scope = "",
        resource: str | Iterable[str] = (),
    ) -> DelegatedToken:
        """The token of whoever signed in on this session, for an API."""
        key = DelegatedKey(
            issuer=self.authority.issuer,
            client_id=self.client_id,
            session=session.digest(),
            scope=_scope(scope),
            resource=_resources(resource),
        )
        identity = for_session(self._identity, self.authority, self._binding, session, store)
        return DelegatedToken(self.authority, identity, self.tokens, key, session, store)

    def login(
        self,
        *,
        redirect_uri: str,
        scope: str | Scope,
        resource: str | Iterable[str] = (),
        par: bool = False,
        request_signing: RequestSigning | None = None,
        response_mode: ResponseMode | None = None,
    ) -> LoginFlow:
        """Sign-ins that come back to `redirect_uri`; the rest is `LoginFlow`'s."""
        # A certificate is the same for everybody; a DPoP key is made for each attempt.
        identity = for_application(self._identity, self.authority, self._binding)
        return LoginFlow(
            self.authority,
            identity,
            self.tokens.clock,
            redirect_uri=redirect_uri,
            scope=_scope(scope),
            resource=_resources(resource),
            par=par,
            request_signing=request_signing,
            response_mode=response_mode,
            binding=self._binding,
        )

    def userinfo(
        self, access_token: Secret, *, subject: str, sender: Sender | None = None
    ) -> Mapping[str, Any]:
        """What the server says about whoever this token is for (OIDC Core §5.3).

        Args:
            subject: who signed in, by the ID token; claims about anybody else are refused.
            sender: of `user_token(...)`, where the client binds tokens to keys.

        Raises:
            AuthorityUnavailable, TokenRefused.
        """
        if sender is None and isinstance(self._binding, DPoP):
            # Without its proof it would be of no use there, and sent as what it is not.
            raise ValueError("sender: a bound token goes with a proof of its key")
        identity = replace(self._identity, sender=sender)
        return fetch_userinfo(self.authority, identity, access_token, subject=subject)

    def end_session(self, session: Secret) -> None:
        """Drop every held token of a session; what a store keeps is its owner's to delete."""
        digest = session.digest()
        self.tokens.drop(
            lambda key: isinstance(key, DelegatedKey) and key.session == digest, own=digest
        )
        self._end_exchanged(session)
        if isinstance(self._binding, DPoP):
            self._binding.forget(digest)

    def revoke(self, refresh_token: Secret) -> None:
        """End a refresh token and all that descended from it (RFC 7009).

        Raises:
            AuthorityUnavailable, TokenRefused.
        """
        request = RevocationRequest(token=refresh_token, token_type_hint="refresh_token")  # noqa: S106 -- a hint's name, no token
        fetched = self._identity.post(self.authority, "revocation_endpoint", request.parameters())
        if fetched.status >= 500 or fetched.status == 429:
            raise AuthorityUnavailable(f"status {fetched.status}")
        if fetched.status != 200:
            raise TokenRefused("revocation_refused", f"status {fetched.status}")

    def logout_url(
        self, *, id_token: Secret | None, post_logout_redirect_uri: str, state: Secret | None = None
    ) -> str:
        """Where a browser ends its session at the server (OIDC RP-Initiated Logout §2).

        Raises:
            AuthorityUnavailable: the server has no such endpoint, or no safe one.
        """
        request = EndSessionRequest(
            id_token_hint=id_token,
            client_id=self.client_id,
            post_logout_redirect_uri=post_logout_redirect_uri,
            state=state,
        )
        return redirect_with(self.authority.page("end_session_endpoint"), request.parameters())

    def close(self) -> None:
        self.tokens.close()
        self.authority.close()


def _proof(
    proof: ClientProof | None,
    client_secret: Secret | Callable[[], Secret] | None,
    method: ClientAuthenticationMethod | None,
) -> ClientProof:
    if proof is not None:
        # Two ways at once would leave open which of them the server gets to see.
        if client_secret is not None or method is not None:
            raise ValueError("proof stands alone: without client_secret and without method")
        return proof
    if client_secret is not None:
        return ClientSecret(client_secret, method or ClientAuthenticationMethod.CLIENT_SECRET_BASIC)
    if method not in (None, ClientAuthenticationMethod.NONE):
        raise ValueError(f"{method} needs what it sends: client_secret or proof")
    return PublicClient()
