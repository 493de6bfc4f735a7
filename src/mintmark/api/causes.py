"""Why a request was refused, as one of a few dozen words that never change: to count by.

A reason is a sentence for people and may name a scope or an issuer. A cause is made of nothing that
a caller sent, so whoever counts by it has a bounded number of counters.
"""

from typing import Final

from mintmark.api.answers import Answer
from mintmark.api.caller import ActorChainTooLong
from mintmark.api.deny_list import Denied
from mintmark.api.dpop import KeyMismatch, NonceNeeded, ProofRefused, ReplayUnknown
from mintmark.api.introspect import IntrospectionUnavailable, TokenInactive
from mintmark.api.issuer_keys import KeysMissing
from mintmark.api.proxy import OriginRefused
from mintmark.jose.errors import (
    AlgorithmRefused,
    ClaimRefused,
    DecryptionFailed,
    HeaderRefused,
    JoseError,
    KeyAmbiguous,
    KeyNotFound,
    KeyRefused,
    KeyRetired,
    Malformed,
    SignatureInvalid,
)
from mintmark.protocol.mtls import CertificateRefused

__all__ = ["CAUSES", "cause_of", "cause_of_failure"]

_BY_FAILURE: Final[dict[type[Exception], str]] = {
    ActorChainTooLong: "actor_chain",
    AlgorithmRefused: "algorithm",
    CertificateRefused: "certificate",
    ClaimRefused: "claim",
    DecryptionFailed: "decryption",
    Denied: "denied",
    HeaderRefused: "header",
    IntrospectionUnavailable: "introspection_unavailable",
    JoseError: "token",
    KeyAmbiguous: "key_ambiguous",
    KeyMismatch: "key_mismatch",
    KeyNotFound: "key_not_found",
    KeyRefused: "key_refused",
    KeyRetired: "key_retired",
    KeysMissing: "keys_unavailable",
    Malformed: "malformed",
    NonceNeeded: "nonce_needed",
    OriginRefused: "origin",
    ProofRefused: "proof",
    ReplayUnknown: "replay_unknown",
    SignatureInvalid: "signature",
    TokenInactive: "inactive",
}

_CLAIMS: Final = frozenset(
    {"act", "aud", "client_id", "cnf", "exp", "iat", "iss", "jti", "nbf", "scope", "sub"}
)
"""Those the standard names. Others are named by settings or by a stranger's own checks."""

_BY_STATUS: Final = {400: "malformed_credentials", 401: "no_credentials", 403: "forbidden",
                     404: "hidden", 503: "unavailable"}  # fmt: skip

_ERRORS: Final = frozenset({
    "insufficient_scope", "insufficient_user_authentication", "invalid_dpop_proof", "invalid_request",
    "invalid_token", "use_dpop_nonce",
})  # fmt: skip

CAUSES: Final = frozenset({
    *_BY_FAILURE.values(), *(f"claim_{name}" for name in _CLAIMS), *_BY_STATUS.values(), *_ERRORS,
    "unbound", "guard_failed",
})  # fmt: skip
"""All there are."""


def cause_of_failure(failure: Exception) -> str:
    """Of a check that did not pass."""
    if type(failure) is ClaimRefused and failure.claim in _CLAIMS:
        return f"claim_{failure.claim}"
    for kind in type(failure).__mro__:
        if kind in _BY_FAILURE:
            return _BY_FAILURE[kind]
    return "guard_failed"


def cause_of(answer: Answer) -> str:
    """Of a refusal, whoever made it."""
    return answer.cause or answer.error or _BY_STATUS.get(answer.status, "guard_failed")
