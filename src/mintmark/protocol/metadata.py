"""What a server says of itself (RFC 8414, OIDC Discovery)."""

from typing import Self
from urllib.parse import urlsplit

import msgspec

__all__ = [
    "ServerMetadata",
    "UnusableMetadata",
    "oauth_metadata_url",
    "openid_configuration_url",
]


class UnusableMetadata(Exception):
    """A metadata document that cannot be trusted or read; the message says why, in one line."""


class ServerMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The members of both metadata forms that this picture uses; others are ignored."""

    issuer: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    jwks_uri: str | None = None
    userinfo_endpoint: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    end_session_endpoint: str | None = None
    scopes_supported: tuple[str, ...] = ()
    response_types_supported: tuple[str, ...] = ()
    response_modes_supported: tuple[str, ...] = ()
    grant_types_supported: tuple[str, ...] = ()
    subject_types_supported: tuple[str, ...] = ()
    id_token_signing_alg_values_supported: tuple[str, ...] = ()
    token_endpoint_auth_methods_supported: tuple[str, ...] = ()
    token_endpoint_auth_signing_alg_values_supported: tuple[str, ...] = ()
    revocation_endpoint_auth_methods_supported: tuple[str, ...] = ()
    revocation_endpoint_auth_signing_alg_values_supported: tuple[str, ...] = ()
    code_challenge_methods_supported: tuple[str, ...] = ()
    claims_supported: tuple[str, ...] = ()
    prompt_values_supported: tuple[str, ...] = ()
    ui_locales_supported: tuple[str, ...] = ()
    authorization_response_iss_parameter_supported: bool = False
    request_parameter_supported: bool = False
    request_uri_parameter_supported: bool | None = None  # absent means true: OIDC Discovery §3
    claims_parameter_supported: bool = False

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def parse(cls, body: bytes, *, issuer: str) -> Self:
        """The metadata of exactly this issuer.

        Raises:
            UnusableMetadata: not JSON, a member of the wrong type, or another issuer's.
        """
        try:
            metadata = msgspec.json.decode(body, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UnusableMetadata("the metadata document cannot be read") from None
        # RFC 8414 §3.3, OIDC Discovery §4.3: identical, or it is somebody else's document.
        if metadata.issuer != issuer:
            raise UnusableMetadata("the metadata document names another issuer")
        return metadata


def openid_configuration_url(issuer: str) -> str:
    """Where OpenID Connect looks: behind the issuer's path (OIDC Discovery §4.1)."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def oauth_metadata_url(issuer: str) -> str:
    """Where OAuth looks: between the host and the issuer's path (RFC 8414 §3.1)."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}"
