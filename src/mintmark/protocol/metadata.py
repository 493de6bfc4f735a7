"""What a server says of itself (RFC 8414, OIDC Discovery)."""

from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

__all__ = [
    "MtlsEndpointAliases",
    "ServerMetadata",
    "UnusableMetadata",
    "metadata_urls",
    "oauth_metadata_url",
    "openid_configuration_url",
]

_OPENID = "/.well-known/openid-configuration"
_OAUTH = "/.well-known/oauth-authorization-server"


class UnusableMetadata(Exception):
    """A metadata document that cannot be trusted or read; the message says why, in one line."""


class MtlsEndpointAliases(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a client with a certificate asks; an endpoint not named has one address (RFC 8705 §5)."""

    token_endpoint: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    backchannel_authentication_endpoint: str | None = None
    registration_endpoint: str | None = None


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
    registration_endpoint: str | None = None
    pushed_authorization_request_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    backchannel_authentication_endpoint: str | None = None
    mtls_endpoint_aliases: MtlsEndpointAliases = MtlsEndpointAliases()
    scopes_supported: tuple[str, ...] = ()
    response_types_supported: tuple[str, ...] = ()
    response_modes_supported: tuple[str, ...] = ()
    grant_types_supported: tuple[str, ...] = ()
    subject_types_supported: tuple[str, ...] = ()
    acr_values_supported: tuple[str, ...] = ()
    display_values_supported: tuple[str, ...] = ()
    claim_types_supported: tuple[str, ...] = ()
    id_token_signing_alg_values_supported: tuple[str, ...] = ()
    id_token_encryption_alg_values_supported: tuple[str, ...] = ()
    id_token_encryption_enc_values_supported: tuple[str, ...] = ()
    userinfo_signing_alg_values_supported: tuple[str, ...] = ()
    userinfo_encryption_alg_values_supported: tuple[str, ...] = ()
    userinfo_encryption_enc_values_supported: tuple[str, ...] = ()
    request_object_signing_alg_values_supported: tuple[str, ...] = ()
    request_object_encryption_alg_values_supported: tuple[str, ...] = ()
    request_object_encryption_enc_values_supported: tuple[str, ...] = ()
    authorization_signing_alg_values_supported: tuple[str, ...] = ()
    authorization_encryption_alg_values_supported: tuple[str, ...] = ()
    authorization_encryption_enc_values_supported: tuple[str, ...] = ()
    token_endpoint_auth_methods_supported: tuple[str, ...] = ()
    token_endpoint_auth_signing_alg_values_supported: tuple[str, ...] = ()
    introspection_endpoint_auth_methods_supported: tuple[str, ...] = ()
    introspection_endpoint_auth_signing_alg_values_supported: tuple[str, ...] = ()
    introspection_signing_alg_values_supported: tuple[str, ...] = ()  # RFC 9701 §7
    revocation_endpoint_auth_methods_supported: tuple[str, ...] = ()
    revocation_endpoint_auth_signing_alg_values_supported: tuple[str, ...] = ()
    code_challenge_methods_supported: tuple[str, ...] = ()
    dpop_signing_alg_values_supported: tuple[str, ...] = ()
    authorization_details_types_supported: tuple[str, ...] = ()
    backchannel_token_delivery_modes_supported: tuple[str, ...] = ()
    backchannel_authentication_request_signing_alg_values_supported: tuple[str, ...] = ()
    claims_supported: tuple[str, ...] = ()
    prompt_values_supported: tuple[str, ...] = ()
    ui_locales_supported: tuple[str, ...] = ()
    authorization_response_iss_parameter_supported: bool = False
    request_parameter_supported: bool = False
    request_uri_parameter_supported: bool | None = None  # absent means true: OIDC Discovery §3
    claims_parameter_supported: bool = False
    require_pushed_authorization_requests: bool = False
    require_signed_request_object: bool = False
    require_request_uri_registration: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    backchannel_user_code_parameter_supported: bool = False
    backchannel_logout_supported: bool = False
    backchannel_logout_session_supported: bool = False
    frontchannel_logout_supported: bool = False
    frontchannel_logout_session_supported: bool = False
    client_id_metadata_document_supported: bool = False
    authorization_grant_profiles_supported: tuple[str, ...] = ()
    protected_resources: tuple[str, ...] = ()
    check_session_iframe: str | None = None

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def parse(cls, body: bytes, *, issuer: str) -> Self:
        """The metadata of exactly this issuer.

        Raises:
            UnusableMetadata: not JSON, a member of the wrong type, or another issuer's.
        """
        try:
            members = msgspec.json.decode(body, type=dict[str, Any])
            # Some servers write `null` for what they do not have.
            present = {name: value for name, value in members.items() if value is not None}
            metadata = msgspec.convert(present, cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise UnusableMetadata("the metadata document cannot be read") from None
        # RFC 8414 §3.3, OIDC Discovery §4.3: identical, or it is somebody else's document.
        if metadata.issuer != issuer:
            raise UnusableMetadata("the metadata document names another issuer")
        return metadata


def openid_configuration_url(issuer: str) -> str:
    """Where OpenID Connect looks: behind the issuer's path (OIDC Discovery §4.1)."""
    return f"{issuer.rstrip('/')}{_OPENID}"


def oauth_metadata_url(issuer: str) -> str:
    """Where OAuth looks: between the host and the issuer's path (RFC 8414 §3.1)."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{_OAUTH}{path}"


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where an issuer's metadata may be, in the order to look (RFC 8414 §5).

    Raises:
        UnusableMetadata: there is no such place. An API may name anything as its issuer.
    """
    try:
        path = urlsplit(issuer).path.rstrip("/")
    except ValueError:
        raise UnusableMetadata("the issuer is no address") from None
    inserted = oauth_metadata_url(issuer)
    both = (openid_configuration_url(issuer), inserted)
    # Some write OpenID Connect's document the way OAuth's is written.
    return both if not path else (*both, inserted.replace(_OAUTH, _OPENID, 1))
