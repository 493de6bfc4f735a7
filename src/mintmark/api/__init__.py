"""Code that accepts tokens: a guard in front of an API, closed by default.

A `Gate` knows whose tokens it takes (`TrustedIssuer`: issuer, audience, keys and algorithms as one
thing), proves each token once, asks every request for what its token is bound to, and hands the
handler a `Caller`. Policies are values; one renderer makes every refusal. It never asks anybody for
a token, and it never takes an address from one.
"""

from mintmark.api.answers import Scheme
from mintmark.api.caller import Actor, Binding, Caller, CallerKind
from mintmark.api.certificate import CertificateForm, ClientCertificate
from mintmark.api.claim_map import ClaimMap, map_claims
from mintmark.api.client_proof import ClientSecretBasic, ClientSecretPost, PrivateKeyJwt
from mintmark.api.config import TrustedIssuer
from mintmark.api.deny_list import Denied, DenyList, MemoryDenyList
from mintmark.api.dialects import (
    AUTH0,
    ENTRA,
    MINTMARK,
    OKTA,
    RFC9068,
    Dialect,
    Leniency,
    cognito,
    keycloak,
)
from mintmark.api.dpop import DPoP
from mintmark.api.explain import Explanation
from mintmark.api.gate import Gate
from mintmark.api.issuers import IssuerResolver
from mintmark.api.opaque_issuer import OpaqueIssuer
from mintmark.api.policy import (
    AUTHENTICATED,
    PUBLIC,
    Allowed,
    CannotDecide,
    Forbidden,
    Hidden,
    MissingDetails,
    MissingScopes,
    Policy,
    StepUp,
    Undecided,
    Verdict,
    actor,
    bound,
    claim,
    client,
    detail,
    group,
    hide_as_404,
    issuer,
    kind,
    login,
    role,
    rule,
    scope,
)
from mintmark.api.proxy import FixedOrigin, Forwarding, PublicOrigin, TrustedProxy
from mintmark.api.refusal import Refused
from mintmark.api.replay import Claim, MemoryReplayStore, ReplayStore, ReplayStoreUnavailable

__all__ = [
    "AUTH0",
    "AUTHENTICATED",
    "ENTRA",
    "MINTMARK",
    "OKTA",
    "PUBLIC",
    "RFC9068",
    "Actor",
    "Allowed",
    "Binding",
    "Caller",
    "CallerKind",
    "CannotDecide",
    "CertificateForm",
    "Claim",
    "ClaimMap",
    "ClientCertificate",
    "ClientSecretBasic",
    "ClientSecretPost",
    "DPoP",
    "Denied",
    "DenyList",
    "Dialect",
    "Explanation",
    "FixedOrigin",
    "Forbidden",
    "Forwarding",
    "Gate",
    "Hidden",
    "IssuerResolver",
    "Leniency",
    "MemoryDenyList",
    "MemoryReplayStore",
    "MissingDetails",
    "MissingScopes",
    "OpaqueIssuer",
    "Policy",
    "PrivateKeyJwt",
    "PublicOrigin",
    "Refused",
    "ReplayStore",
    "ReplayStoreUnavailable",
    "Scheme",
    "StepUp",
    "TrustedIssuer",
    "TrustedProxy",
    "Undecided",
    "Verdict",
    "actor",
    "bound",
    "claim",
    "client",
    "cognito",
    "detail",
    "group",
    "hide_as_404",
    "issuer",
    "keycloak",
    "kind",
    "login",
    "map_claims",
    "role",
    "rule",
    "scope",
]
