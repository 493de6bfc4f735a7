"""What an API says of itself (RFC 9728): written by the API, read by clients."""

from collections.abc import Set as AbstractSet
from typing import Any, Final, Self
from urllib.parse import urlsplit

import msgspec

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.errors import JoseError
from mintmark.jose.jws import parse, sign
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.jose.strict_json import decode_object
from mintmark.protocol.metadata import UnusableMetadata

__all__ = ["TYP", "ResourceMetadata", "require_signed", "resource_metadata_url", "signed"]

WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"

TYP: Final = "resource-metadata+jwt"
"""The RFC names no type. With one of its own, signed metadata passes for no other token, whoever
signs other things with the same key (RFC 8725 §3.11)."""


class ResourceMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The members of RFC 9728 §2 that this picture uses; others are ignored.

    Lists without members are left out, as RFC 9728 §3.2 wants it.
    """

    resource: str
    authorization_servers: tuple[str, ...] = ()
    jwks_uri: str | None = None
    scopes_supported: tuple[str, ...] = ()
    bearer_methods_supported: tuple[str, ...] = ()
    resource_signing_alg_values_supported: tuple[str, ...] = ()
    resource_name: str | None = None
    resource_documentation: str | None = None
    resource_policy_uri: str | None = None
    resource_tos_uri: str | None = None
    tls_client_certificate_bound_access_tokens: bool = False
    authorization_details_types_supported: tuple[str, ...] = ()
    dpop_signing_alg_values_supported: tuple[str, ...] = ()
    dpop_bound_access_tokens_required: bool = False
    signed_metadata: str | None = None

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def parse(cls, body: bytes, *, resource: str) -> Self:
        """The metadata of exactly this resource. `signed_metadata` is not looked at here.

        Raises:
            UnusableMetadata: not JSON, a member of the wrong type, or another resource's.
        """
        try:
            metadata = msgspec.convert(decode_object(body), type=cls)
        except (JoseError, msgspec.ValidationError):
            raise UnusableMetadata("the metadata document cannot be read") from None
        # RFC 9728 §3.3: identical, or somebody else's document would send us to their issuer.
        if metadata.resource != resource:
            raise UnusableMetadata("the metadata document names another resource")
        return metadata


def resource_metadata_url(resource: str) -> str:
    """Where to look: between the host and whatever comes after it (RFC 9728 §3.1).

    A slash right behind the host is left out; one at the end of a longer path belongs to its name.

    Raises:
        ValueError: a fragment, or no host.
    """
    parts = urlsplit(resource)
    if not parts.netloc or "#" in resource:
        raise ValueError("resource: an address with a host and without a fragment has metadata")
    path = "" if parts.path == "/" else parts.path
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{path}{query}"


def signed(metadata: ResourceMetadata, key: SigningKey, *, iss: str, now: float) -> str:
    """What somebody vouches for: the value of `signed_metadata` (RFC 9728 §2.2).

    Args:
        iss: who vouches. It need not be the resource.
        now: seconds since 1970.
    """
    claims = _members(metadata) | {"iss": iss, "iat": int(now)}
    return sign(msgspec.json.encode(claims), key, typ=TYP)


def require_signed(
    metadata: ResourceMetadata, *, iss: str, keys: KeySet, algorithms: AbstractSet[Algorithm]
) -> ResourceMetadata:
    """The metadata with what `iss` vouches for in place of what merely stands there.

    Args:
        keys: of `iss`, got in a way that the document has no part in.

    Raises:
        UnusableMetadata: nobody vouches, or somebody else, or for another resource.
    """
    if metadata.signed_metadata is None:
        raise UnusableMetadata("the metadata is not signed")
    try:
        claims = _proved_claims(metadata.signed_metadata, keys, algorithms)
    except JoseError as refusal:
        raise UnusableMetadata(f"signed_metadata: {refusal.reason}") from None
    if claims.get("iss") != iss:
        raise UnusableMetadata("signed_metadata is somebody else's")
    # RFC 9728 §2.2: one inside the other is to be refused.
    if "signed_metadata" in claims:
        raise UnusableMetadata("signed_metadata holds itself")
    if claims.get("resource") != metadata.resource:
        raise UnusableMetadata("signed_metadata is for another resource")
    try:
        # RFC 9728 §2.2: what is signed takes precedence, and the rest stands.
        return msgspec.convert(_members(metadata) | claims, type=ResourceMetadata)
    except msgspec.ValidationError:
        raise UnusableMetadata("signed_metadata cannot be read") from None


def _proved_claims(token: str, keys: KeySet, algorithms: AbstractSet[Algorithm]) -> dict[str, Any]:
    jws = parse(token)
    # Others write no type, or "JWT"; what says that it is something else is something else.
    if jws.header.typ not in {None, "jwt", TYP}:
        raise UnusableMetadata("signed_metadata is another kind of token")
    jws.require_signature(keys, algorithms)
    return decode_object(jws.payload)


def _members(metadata: ResourceMetadata) -> dict[str, Any]:
    members: dict[str, Any] = msgspec.to_builtins(metadata)
    members.pop("signed_metadata", None)
    return members
