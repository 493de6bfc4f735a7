"""A client's identity, with what the tokens it asks for are bound to."""

from dataclasses import replace

from mintmark.client.authority import Authority
from mintmark.client.dpop import DPoP, dump_key, load_key
from mintmark.client.errors import LoginFailed, LoginRequired
from mintmark.client.mtls import CertificateSender, MutualTls, ShowsCertificate
from mintmark.client.stores import UserTokenStore
from mintmark.client.token_endpoint import ClientIdentity
from mintmark.clock import Clock
from mintmark.secret import Secret

__all__ = ["Binding", "bound_to", "for_application", "for_session", "new_proof_key", "showing"]

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


def new_proof_key(binding: Binding | None) -> Secret | None:
    """For a sign-in that begins: the key of the session that may come of it, if keys bind it."""
    return dump_key(binding.new_key()) if isinstance(binding, DPoP) else None


def bound_to(
    identity: ClientIdentity,
    authority: Authority,
    binding: Binding | None,
    proof_key: Secret | None,
    clock: Clock,
) -> ClientIdentity:
    """The same, for a sign-in that began with this key.

    Raises:
        LoginFailed: it began without one, or the key cannot be read.
    """
    if not isinstance(binding, DPoP):
        return _by_certificate(identity, authority, binding)
    # No downgrade: an attempt that was begun before binding was switched on begins again.
    if proof_key is None:
        raise LoginFailed("the attempt is bound to no key")
    try:
        key = load_key(proof_key)
    except LoginRequired as failure:
        raise LoginFailed(str(failure)) from None
    return replace(identity, sender=binding.with_key(key, clock))


def _by_certificate(
    identity: ClientIdentity, authority: Authority, binding: MutualTls | None
) -> ClientIdentity:
    if binding is None:
        return identity
    return replace(
        showing(identity, authority, binding), sender=CertificateSender(binding.certificate)
    )
