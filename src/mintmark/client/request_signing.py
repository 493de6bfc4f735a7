"""Signing, and encrypting, what a browser carries to the server (RFC 9101)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from mintmark.client.authority import Authority
from mintmark.client.errors import LoginFailed
from mintmark.client.proof import PrivateKeyJwt, current_key
from mintmark.client.token_endpoint import ClientIdentity
from mintmark.jose.content_encryption import ContentEncryption
from mintmark.jose.encryption_keys import EncryptionKey
from mintmark.jose.jwe import encrypt
from mintmark.jose.key_management import KeyManagement
from mintmark.jose.keys import SigningKey
from mintmark.protocol.request_object import LIFETIME, LONGEST_LIFETIME, make_request_object
from mintmark.secret import Secret

__all__ = ["RequestSigning", "signed_request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSigning:
    """Authorization requests are sent as signed request objects (RFC 9101 §4).

    Args:
        key: or a callable that gives the one of this moment. None: that of `PrivateKeyJwt`.
        lifetime: from the redirect until the server has read it; at most an hour.
        encryption_key: the server's, for a request that nobody on the way may read.
        encryption: how the content key is sent, where that key may be used in several ways.
        content_encryption: how the request itself is.
    """

    key: SigningKey | Callable[[], SigningKey] | None = None
    lifetime: timedelta = LIFETIME
    encryption_key: EncryptionKey | None = None
    encryption: KeyManagement | None = None
    content_encryption: ContentEncryption = ContentEncryption.A256GCM

    def __post_init__(self) -> None:
        if not timedelta(seconds=1) <= self.lifetime <= LONGEST_LIFETIME:
            raise ValueError(f"lifetime ({self.lifetime}) must be 1 s to 1 h")


def signed_request(
    signing: RequestSigning,
    parameters: list[tuple[str, str]],
    authority: Authority,
    identity: ClientIdentity,
) -> list[tuple[str, str]]:
    """The parameters that stand for all of these (RFC 9101 §5).

    Raises:
        LoginFailed: there is no key, or the server does not know its algorithm.
        ProofUnavailable: the key cannot be had at this moment.
    """
    key = _key(signing, identity)
    supported = authority.metadata().request_object_signing_alg_values_supported
    if supported and key.algorithm.value not in supported:
        raise LoginFailed(f"the server takes no request that is signed with {key.algorithm}")
    request = make_request_object(
        key,
        client_id=identity.client_id,
        audience=authority.issuer,
        parameters=parameters,
        now=authority.clock.timestamp(),
        lifetime=signing.lifetime,
    )
    if signing.encryption_key is not None:
        # RFC 9101 §6.1: signed first, then encrypted.
        request = Secret(
            encrypt(
                request.reveal().encode("ascii"),
                signing.encryption_key,
                enc=signing.content_encryption,
                key_management=signing.encryption,
            )
        )
    return [("client_id", identity.client_id), ("request", request.reveal())]


def _key(signing: RequestSigning, identity: ClientIdentity) -> SigningKey:
    if signing.key is not None:
        return current_key(signing.key)
    if isinstance(identity.proof, PrivateKeyJwt):
        return identity.proof.signing_key()
    raise LoginFailed("the request is to be signed, and this client has no key for that")
