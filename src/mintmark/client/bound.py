"""A client's identity, with what the tokens it asks for are bound to."""

from dataclasses import replace

from mintmark.client.authority import Authority
from mintmark.client.dpop import DPoP
from mintmark.client.mtls import CertificateSender, MutualTls, ShowsCertificate
from mintmark.client.stores import UserTokenStore
from mintmark.client.token_endpoint import ClientIdentity
from mintmark.secret import Secret

__all__ = ["Binding", "for_application", "for_session", "showing"]

Binding = DPoP | MutualTls


def showing(
    identity: ClientIdentity, authority: Authority, binding: Binding | None
) -> ClientIdentity:
    """The identity, with the certificate that its connections show.

    Raises:
        ValueError: two certificates, of which a connection could show one; or a server without TLS.
    """
    proof = identity.proof
    certificate = proof.certificate if isinstance(proof, ShowsCertificate) else None
    if isinstance(binding, MutualTls):
        if certificate not in (None, binding.certificate):
            raise ValueError("proof and binding name two certificates: a connection shows one")
        certificate = binding.certificate
    if certificate is None:
        return replace(identity, certificate=None)
    if not authority.issuer.startswith("https://"):
        raise ValueError("a certificate is shown over https alone, and the issuer is on http")
    return replace(identity, certificate=certificate)


def for_application(
    identity: ClientIdentity, authority: Authority, binding: Binding | None
) -> ClientIdentity:
    """The same, for the application's own tokens. Raises `ValueError` as `showing` does."""
    if isinstance(binding, DPoP):
        return replace(identity, sender=binding.application(authority.clock))
    return _by_certificate(identity, authority, binding)


def for_session(
    identity: ClientIdentity,
    authority: Authority,
    binding: Binding | None,
    session: Secret,
    store: UserTokenStore,
) -> ClientIdentity:
    """The same, for the tokens of who is signed in on this session."""
    if isinstance(binding, DPoP):
        return replace(identity, sender=binding.session(session, store, authority.clock))
    return _by_certificate(identity, authority, binding)


def _by_certificate(
    identity: ClientIdentity, authority: Authority, binding: MutualTls | None
) -> ClientIdentity:
    if binding is None:
        return identity
    return replace(
        showing(identity, authority, binding), sender=CertificateSender(binding.certificate)
    )
