"""How a client names itself with a secret: written by the client, read by the server."""

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum
from typing import Self
from urllib.parse import quote_plus, unquote_plus

from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.secret import Secret

__all__ = ["ClientAuthenticationMethod", "ClientCredential", "basic_header"]


class ClientAuthenticationMethod(StrEnum):
    """The `token_endpoint_auth_method` values of this picture (RFC 7591 §2)."""

    NONE = "none"
    CLIENT_SECRET_BASIC = "client_secret_basic"  # noqa: S105 -- a method's name, no password
    CLIENT_SECRET_POST = "client_secret_post"  # noqa: S105 -- a method's name, no password


def basic_header(client_id: str, client_secret: Secret) -> str:
    """The `Authorization` value of `client_secret_basic`."""
    # RFC 6749 §2.3.1: both are form-encoded first, or a colon in either would move the border.
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret.reveal())}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredential:
    """Who says they are asking, and what they bring to prove it."""

    method: ClientAuthenticationMethod
    client_id: str
    client_secret: Secret | None = None

    @classmethod
    def parse(cls, authorization: str | None, form: Form) -> Self:
        """The one credential of a request.

        Raises:
            OAuthError: INVALID_REQUEST when there are two, INVALID_CLIENT when there is none
                or it cannot be read.
        """
        posted = form.optional("client_secret", Secret)
        named = form.optional("client_id", str)
        if authorization is None:
            if named is None:
                raise OAuthError(ErrorCode.INVALID_CLIENT, "the client did not say who it is")
            if posted is None:
                return cls(method=ClientAuthenticationMethod.NONE, client_id=named)
            return cls(
                method=ClientAuthenticationMethod.CLIENT_SECRET_POST,
                client_id=named,
                client_secret=posted,
            )
        # RFC 6749 §2.3: one method per request.
        if posted is not None:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "two ways of client authentication at once")
        client_id, client_secret = _read_basic(authorization)
        if named is not None and named != client_id:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "client_id names two different clients")
        return cls(
            method=ClientAuthenticationMethod.CLIENT_SECRET_BASIC,
            client_id=client_id,
            client_secret=client_secret,
        )


def _read_basic(authorization: str) -> tuple[str, Secret]:
    scheme, _, credentials = authorization.partition(" ")
    # RFC 9110 §11.1: the scheme's case does not matter.
    if scheme.lower() != "basic":
        raise OAuthError(ErrorCode.INVALID_CLIENT, "this authentication scheme is not offered")
    try:
        pair = base64.b64decode(credentials.strip(" "), validate=True).decode("utf-8")
        client_id, colon, client_secret = pair.partition(":")
        if not (client_id and colon):
            raise ValueError("no colon")
        return (
            unquote_plus(client_id, errors="strict"),
            Secret(unquote_plus(client_secret, errors="strict")),
        )
    except (binascii.Error, ValueError):
        # `from None`: the message of the first exception may quote the secret.
        raise OAuthError(ErrorCode.INVALID_CLIENT, "the credentials cannot be read") from None
