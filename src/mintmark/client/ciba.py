"""Asking a person on their own device, without a browser of ours (OIDC CIBA Core)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import final

from mintmark.client.approval import Approved
from mintmark.client.approval_flow import ApprovalFlow
from mintmark.client.authority import Authority
from mintmark.client.bound import Binding
from mintmark.client.errors import AuthorityUnavailable, LoginFailed
from mintmark.client.token_endpoint import ClientIdentity
from mintmark.clock import Clock
from mintmark.protocol.ciba import (
    BackchannelRequest,
    BackchannelResponse,
    BackchannelTokenRequest,
    read_notification,
)
from mintmark.protocol.polling import UnreadableAnswer
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret

__all__ = ["BackchannelFlow", "BackchannelLogin", "PingRefused"]


class PingRefused(Exception):
    """A notification that is not the one awaited. Answer it with 401 and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackchannelLogin:
    """A person is being asked. Remember it, where nobody else can read it, until they answered."""

    auth_req_id: Secret
    expires_at: datetime
    interval: timedelta
    client_notification_token: Secret | None = None  # None: this one is polled for
    proof_key: Secret | None = None  # the tokens will be bound to it


@final
class BackchannelFlow(ApprovalFlow[BackchannelLogin]):
    """See `ApprovalFlow`. `wait` works in ping mode, too."""

    def __init__(
        self,
        authority: Authority,
        identity: ClientIdentity,
        clock: Clock,
        *,
        scope: Scope,
        resource: frozenset[str],
        binding: Binding | None = None,
    ) -> None:
        # OIDC CIBA Core §7.1: without it the request is no request for an authentication.
        if "openid" not in scope:
            raise ValueError("scope: openid is needed")
        super().__init__(
            authority, identity, clock, scope=scope, resource=resource, binding=binding
        )

    def begin(
        self,
        *,
        login_hint: str | None = None,
        id_token_hint: Secret | None = None,
        login_hint_token: Secret | None = None,
        binding_message: str | None = None,
        acr_values: tuple[str, ...] = (),
        user_code: Secret | None = None,
        requested_expiry: timedelta | None = None,
        ping: bool = False,
    ) -> BackchannelLogin:
        """Have somebody asked. Exactly one hint says whom.

        Args:
            binding_message: shown on both devices, so that they can see that it is one matter.
            user_code: a secret of theirs, so that not everybody can have them asked.
            ping: this client is registered for notifications; the answer comes to `pinged`.

        Raises:
            AuthorityUnavailable: the server cannot be reached, or has no such endpoint.
            LoginFailed: it refused; `error` is its code, `unknown_user_id` for instance.
        """
        if sum(hint is not None for hint in (login_hint, id_token_hint, login_hint_token)) != 1:
            raise ValueError("exactly one of login_hint, id_token_hint, login_hint_token")
        for text in (login_hint, binding_message, user_code.reveal() if user_code else None):
            _require_sendable(text)
        notification_token = Secret.generate() if ping else None
        request = BackchannelRequest(
            scope=self._scope,
            login_hint=login_hint,
            id_token_hint=id_token_hint,
            login_hint_token=login_hint_token,
            client_notification_token=notification_token,
            binding_message=binding_message,
            acr_values=acr_values,
            user_code=user_code,
            requested_expiry=requested_expiry,
            resource=tuple(sorted(self._resource)),
        )
        response = self._posted(
            "backchannel_authentication_endpoint", request.parameters(), BackchannelResponse.parse
        )
        return BackchannelLogin(
            auth_req_id=response.auth_req_id,
            expires_at=self._clock.now() + response.expires_in,
            interval=response.interval,
            client_notification_token=notification_token,
            proof_key=self._new_proof_key(),
        )

    def pinged(
        self, login: BackchannelLogin, *, authorization: str | None, body: bytes
    ) -> Approved:
        """A notification came: if it is the one awaited, fetch the tokens (OIDC CIBA Core §10.2).

        Find `login` by `auth_req_id_of(body)`. Answer 204, or 401 when it is refused.

        Args:
            authorization: the header of the notification.

        Raises:
            PingRefused: it is somebody else's. Nothing was asked of the server.
            LoginFailed: the person refused, or the server has no tokens for this after all.
            AuthorityUnavailable: the server cannot be reached; `wait` goes on asking.
        """
        require_ping(login, authorization, body)
        approved = self._asking(login).ask_once()
        if approved is None:
            raise AuthorityUnavailable("the server notified before it was ready", login.interval)
        return approved

    @staticmethod
    def auth_req_id_of(body: bytes) -> Secret:
        """Which sign-in a notification says it is about; nothing is proved yet.

        Raises:
            PingRefused: it cannot be read.
        """
        try:
            return read_notification(body)
        except UnreadableAnswer as failure:
            raise PingRefused(str(failure)) from None

    def _request(self, begun: BackchannelLogin) -> BackchannelTokenRequest:
        return BackchannelTokenRequest(auth_req_id=begun.auth_req_id)


def _require_sendable(text: str | None) -> None:
    # People type these. An empty one would be left out, and the request be another one.
    if text is not None and not (text and text.isprintable()):
        raise LoginFailed("a hint, message or code is empty or holds what cannot be shown")


def require_ping(login: BackchannelLogin, authorization: str | None, body: bytes) -> Secret:
    """The `auth_req_id` of a notification that this server sent about this sign-in.

    Raises:
        PingRefused.
    """
    expected = login.client_notification_token
    if expected is None:
        raise PingRefused("this sign-in is polled for")
    scheme, _, token = (authorization or "").partition(" ")
    # OIDC CIBA Core §10.2. The token is compared in constant time; what is not ASCII is none.
    known = token.isascii() and Secret(token.strip(" ")) == expected
    if scheme.lower() != "bearer" or not known:
        raise PingRefused("the notification token is not the one that was sent")
    auth_req_id = BackchannelFlow.auth_req_id_of(body)
    if auth_req_id != login.auth_req_id:
        raise PingRefused("the notification is about another sign-in")
    return auth_req_id
