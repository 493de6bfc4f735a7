"""Registering with a server at run time, and looking after it (RFC 7591, RFC 7592)."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self, final

import msgspec

from mintmark.client.authority import Authority
from mintmark.client.errors import AuthorityUnavailable, TokenRefused
from mintmark.fetch import Fetched, FetchError
from mintmark.protocol.client_registration import (
    ClientMetadata,
    RegisteredClient,
    UnusableRegistration,
)
from mintmark.secret import Secret

__all__ = ["Registration", "register"]


@final
@dataclass(frozen=True, slots=True)
class Registration:
    """One client at one server, as that server last described it.

    Each method that asks the server gives the registration as it is from then on; the server may
    have changed the access token that the next question needs, so keep what comes back.
    """

    authority: Authority
    client: RegisteredClient

    @classmethod
    def restored(cls, authority: Authority, kept: bytes) -> Self:
        """What `client.reveal()` gave, read back. Raises `UnusableRegistration`."""
        return cls(authority, RegisteredClient.parse(kept))

    def secret_at(self, now: float) -> Secret | None:
        """The secret, unless there is none or it has ended: then register again.

        Args:
            now: seconds since 1970.
        """
        ends = self.client.client_secret_expires_at
        return None if ends and now >= ends else self.client.client_secret

    def read(self) -> "Registration":
        """As the server has it now (RFC 7592 §2.1). Raises `AuthorityUnavailable`, `TokenRefused`."""
        url, headers = self._managed()
        return self._after(_sent(lambda: self.authority.fetcher.get(url, headers), 200))

    def update(self, metadata: ClientMetadata) -> "Registration":
        """Replace all that the client says of itself (RFC 7592 §2.2). Raises as `read` does."""
        url, headers = self._managed()
        members = {**metadata.members(), "client_id": self.client.client_id}
        if self.client.client_secret is not None:
            members["client_secret"] = self.client.client_secret.reveal()
        body = msgspec.json.encode(members)
        return self._after(_sent(lambda: self.authority.fetcher.put(url, body, headers), 200))

    def delete(self) -> None:
        """End it, and every token with it (RFC 7592 §2.3). Raises as `read` does."""
        url, headers = self._managed()
        _sent(lambda: self.authority.fetcher.delete(url, headers), 204)

    def _managed(self) -> tuple[str, dict[str, str]]:
        url, token = self.client.registration_client_uri, self.client.registration_access_token
        if url is None or token is None:
            raise TokenRefused("not_managed", "the server gave no way to manage this client")
        return url, {**_JSON, "authorization": f"Bearer {token.reveal()}"}

    def _after(self, fetched: Fetched) -> "Registration":
        now = _parsed(fetched)
        if now.client_id != self.client.client_id:
            raise TokenRefused("unreadable_response", "the answer is about another client")
        # RFC 7592 §3: what is not said again goes on as it was.
        return replace(
            self,
            client=replace(
                now,
                client_secret=now.client_secret or self.client.client_secret,
                registration_access_token=now.registration_access_token
                or self.client.registration_access_token,
                registration_client_uri=now.registration_client_uri
                or self.client.registration_client_uri,
            ),
        )


_JSON = {"content-type": "application/json", "accept": "application/json"}


def register(
    authority: Authority, metadata: ClientMetadata, *, initial_access_token: Secret | None = None
) -> Registration:
    """Introduce a client to a server (RFC 7591 §3.1).

    Args:
        initial_access_token: where the server does not let just anybody register.

    Raises:
        AuthorityUnavailable: no answer, or the server has no such endpoint.
        TokenRefused: `error` is the server's code, `invalid_redirect_uri` for instance.
    """
    url = authority.endpoint("registration_endpoint")
    headers = dict(_JSON)
    if initial_access_token is not None:
        headers["authorization"] = f"Bearer {initial_access_token.reveal()}"
    body = metadata.to_json()
    return Registration(
        authority, _parsed(_sent(lambda: authority.fetcher.post(url, body, headers), 201, 200))
    )


def _sent(send: Callable[[], Fetched], *good: int) -> Fetched:
    try:
        fetched = send()
    except FetchError as failure:
        raise AuthorityUnavailable(failure.reason) from None
    if fetched.status in good:
        return fetched
    if fetched.status == 429 or fetched.status >= 500:
        raise AuthorityUnavailable(f"status {fetched.status}")
    raise _refusal(fetched)


class _Refusal(msgspec.Struct):
    error: str
    error_description: str = ""


def _refusal(fetched: Fetched) -> TokenRefused:
    try:
        refusal = msgspec.json.decode(fetched.body, type=_Refusal)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return TokenRefused("registration_refused", f"status {fetched.status}")
    return TokenRefused(refusal.error[:100], refusal.error_description[:300])


def _parsed(fetched: Fetched) -> RegisteredClient:
    try:
        return RegisteredClient.parse(fetched.body)
    except UnusableRegistration as failure:
        raise TokenRefused("unreadable_response", str(failure)) from None
