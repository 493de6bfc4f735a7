"""What a gate works out of its settings before it is put together, and what it refuses to start with."""

from collections.abc import Iterable

from mintmark.api.answers import Challenges
from mintmark.api.config import TrustedIssuer
from mintmark.api.dpop import DPoP
from mintmark.api.opaque_issuer import OpaqueIssuer
from mintmark.api.proxy import FixedOrigin, PublicOrigin
from mintmark.api.resource_metadata import Publication
from mintmark.fetch import FetchPolicy
from mintmark.jose.decryption_keys import DecryptionKeys

__all__ = ["names_of", "offered_challenges", "origin_of", "require_keys_for", "trusted_issuers"]


def trusted_issuers(
    resource: str, issuer: str | None, issuers: Iterable[TrustedIssuer], fetch: FetchPolicy
) -> list[TrustedIssuer]:
    """Those with settings of their own, and the one that was only named."""
    trusted = list(issuers)
    if issuer is not None:
        trusted.append(TrustedIssuer(issuer=issuer, audience=resource, policy=fetch))
    return trusted


def require_keys_for(
    trusted: Iterable[TrustedIssuer], decrypt_with: DecryptionKeys | None
) -> DecryptionKeys | None:
    """Raises `ValueError` where encrypted tokens are demanded that nobody could open."""
    if decrypt_with is None and any(one.encryption == "require" for one in trusted):
        raise ValueError("encryption='require' needs decrypt_with: this API's own keys")
    return decrypt_with


def names_of(trusted: Iterable[TrustedIssuer], opaque: OpaqueIssuer | None) -> tuple[str, ...]:
    """Every issuer that can be named beforehand, once."""
    named = [one.issuer for one in trusted] + ([opaque.issuer] if opaque else [])
    return tuple(dict.fromkeys(named))


def offered_challenges(
    resource: str, dpop: DPoP | None, publication: Publication | None
) -> Challenges:
    """What those are told who are turned away."""
    return Challenges(
        realm=resource,
        resource_metadata=publication.url if publication is not None else None,
        bearer=dpop is None or not dpop.required,
        dpop=tuple(sorted(dpop.algorithms)) if dpop is not None else (),
    )


def origin_of(resource: str, *, insecure_http: bool) -> PublicOrigin:
    """Raises `ValueError` when the API's identifier is no address, and none was said."""
    try:
        return FixedOrigin.of_resource(resource, insecure_allow_http_on_loopback=insecure_http)
    except ValueError:
        raise ValueError(
            "origin: a proof names this API's address, and its identifier has none; say it, for"
            " example origin=FixedOrigin('https://api.example')"
        ) from None
