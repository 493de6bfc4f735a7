"""How a client names itself: written by the client, read by the server."""

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum
from typing import Self
from urllib.parse import quote_plus, unquote_plus

from mintmark.jose.errors import JoseError
from mintmark.protocol.client_assertion import CLIENT_ASSERTION_TYPE, claimed_client_id
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.secret import Secret

__all__ = ["ClientAuthenticationMethod", "ClientCredential", "basic_header"]


class ClientAuthenticationMethod(StrEnum):
    """The `token_endpoint_auth_method` values of this picture (RFC 7591 §2)."""

    NONE = "none"
    CLIENT_SECRET_BASIC = "client_secret_basic"  # noqa: S105 -- a method's name, no password
    CLIENT_SECRET_POST = "client_secret_post"  # noqa: S105 -- a method's name, no password
    PRIVATE_KEY_JWT = "private_key_jwt"  # OIDC Core §9


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
    assertion: Secret | None = None

    @classmethod
    def parse(cls, authorization: str | None, form: Form) -> Self:
        """The one credential of a request.

        Raises:
            OAuthError: INVALID_REQUEST when there are two, INVALID_CLIENT when there is none
                or it cannot be read.
        """
        posted = form.optional("client_secret", Secret)
        named = form.optional("client_id", str)
        if {"client_assertion", "client_assertion_type"} & form.values.keys():
            # RFC 6749 §2.3: one method per request.
            if authorization is not None or posted is not None:
                raise _two_ways()
            return cls._of_assertion(form, named)
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
        # RFC 6749 §2.3
        if posted is not None:
            raise _two_ways()
        client_id, client_secret = _read_basic(authorization)
        if named is not None and named != client_id:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "client_id names two different clients")
        return cls(
            method=ClientAuthenticationMethod.CLIENT_SECRET_BASIC,
            client_id=client_id,
            client_secret=client_secret,
        )

    @classmethod
    def _of_assertion(cls, form: Form, named: str | None) -> Self:
        assertion = _read_assertion(form)
        return cls(
            method=ClientAuthenticationMethod.PRIVATE_KEY_JWT,
            client_id=named or _claimed_client_id(assertion),
            assertion=assertion,
        )


def _two_ways() -> OAuthError:
    return OAuthError(ErrorCode.INVALID_REQUEST, "two ways of client authentication at once")


def _read_assertion(form: Form) -> Secret:
    # RFC 7521 §4.2: neither means anything without the other.
    kind = form.required("client_assertion_type", str)
    if kind != CLIENT_ASSERTION_TYPE:
        raise OAuthError(ErrorCode.INVALID_CLIENT, "this kind of client assertion is not offered")
    return form.required("client_assertion", Secret)


def _claimed_client_id(assertion: Secret) -> str:
    # RFC 7521 §4.2: without `client_id` the assertion's subject says whose it is.
    try:
        return claimed_client_id(assertion)
    except JoseError:
        raise OAuthError(ErrorCode.INVALID_CLIENT, "the credentials cannot be read") from None


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
