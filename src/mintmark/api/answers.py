"""Every refusal, made in one place: status, challenges, body.

R0 to R8 are the only answers this guard gives of itself, besides the 404 of a hidden object.
What was wrong goes into `reason`, for the log; what goes out is the same for every cause.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

import msgspec

from mintmark.api.policy.verdict import (
    Allowed,
    Forbidden,
    Hidden,
    MissingDetails,
    MissingScopes,
    StepUp,
    Undecided,
    Verdict,
)
from mintmark.protocol.challenge import render_challenge
from mintmark.protocol.message import NO_STORE, HttpResponse
from mintmark.protocol.scope import Scope, format_scope

__all__ = [
    "Answer",
    "Challenges",
    "Scheme",
    "answer_to",
    "forbidden",
    "insufficient_details",
    "insufficient_scope",
    "insufficient_user_authentication",
    "invalid_dpop_proof",
    "invalid_request",
    "invalid_token",
    "no_credentials",
    "not_found",
    "unavailable",
    "use_dpop_nonce",
]

RETRY_AFTER: Final = 5
_TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    503: "Service Unavailable",
}
# One text for each error, so that two causes cannot be told apart by their words.
_DESCRIPTIONS: Final = {
    "invalid_token": "The access token is not valid here",
    "invalid_request": "The credentials cannot be read",
    "insufficient_scope": "The access token does not allow this",
    "insufficient_user_authentication": "Another sign-in is needed for this",
    "invalid_dpop_proof": "The DPoP proof is not valid for this request",
    "use_dpop_nonce": "The DPoP proof needs the nonce of this answer",
}
_EXPOSED: Final = (b"access-control-expose-headers", b"WWW-Authenticate, DPoP-Nonce")
_NO_SCOPES: Final[Scope] = frozenset()


class Scheme(StrEnum):
    """How the token came."""

    BEARER = "Bearer"
    DPOP = "DPoP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenges:
    """What an API offers to those it turns away.

    Attributes:
        realm: the API's own identifier.
        resource_metadata: where its RFC 9728 document is.
        bearer: whether tokens may come without a proof.
        dpop: the algorithms of proofs it takes; none, and it takes no proofs.
        descriptions: whether challenges say their error in words, too.
        expose: whether scripts of other origins may read the challenge and the nonce, where the
            application's own CORS rules let them call at all.
    """

    realm: str
    resource_metadata: str | None = None
    bearer: bool = True
    dpop: tuple[str, ...] = ()
    descriptions: bool = False
    expose: bool = False

    def __post_init__(self) -> None:
        if not self.bearer and not self.dpop:
            raise ValueError("challenges: an API that takes neither Bearer nor DPoP takes nobody")

    def schemes(self, first: Scheme = Scheme.BEARER) -> list[Scheme]:
        """What may be offered, `first` before the other."""
        offered = [Scheme.BEARER] if self.bearer else []
        if self.dpop:
            offered.append(Scheme.DPOP)
        return sorted(offered, key=lambda scheme: scheme is not first)

    def render(self, scheme: Scheme, *parameters: tuple[str, str]) -> str:
        """One challenge. Values that no header may hold are mended by the renderer."""
        everything = [("realm", self.realm), *parameters]
        # RFC 9449 §7.1: whoever is to make a proof must know how.
        if scheme is Scheme.DPOP:
            everything.append(("algs", " ".join(self.dpop)))
        # RFC 9728 §5.1
        if self.resource_metadata is not None:
            everything.append(("resource_metadata", self.resource_metadata))
        return render_challenge(scheme, everything)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A refusal: what it is called on the wire, and why, which stays here."""

    status: int
    error: str = ""
    challenges: tuple[str, ...] = ()
    reason: str = ""
    cause: str = ""  # what kind of reason, where the error does not say it; see `causes.py`
    dpop_nonce: str = field(default="", repr=False)
    retry_after: int = RETRY_AFTER  # seconds; said with 503 alone
    expose: bool = False

    def response(self) -> HttpResponse:
        """Problem details without anything of the token (RFC 9457 §3)."""
        problem: dict[str, str | int] = {"title": _TITLES[self.status], "status": self.status}
        if self.error:
            problem["error"] = self.error
        headers = [(b"content-type", b"application/problem+json"), *NO_STORE]
        # RFC 9110 §11.6.1: a 401 without a challenge is no 401. One field for each: a comma both
        # parts challenges and parameters, and not everybody reads that right.
        headers += [(b"www-authenticate", one.encode("ascii")) for one in self.challenges]
        if self.dpop_nonce:
            headers.append((b"dpop-nonce", self.dpop_nonce.encode("ascii")))
        if self.status == 503:
            headers.append((b"retry-after", str(self.retry_after).encode("ascii")))
        if self.expose and (self.challenges or self.dpop_nonce):
            headers.append(_EXPOSED)
        return HttpResponse(self.status, tuple(headers), msgspec.json.encode(problem))


def no_credentials(challenges: Challenges, reason: str, scopes: Scope = _NO_SCOPES) -> Answer:
    """R0. RFC 6750 §3.1: who sent nothing is told of no error.

    Args:
        scopes: what the route will ask for, so that the first token is the right one.
    """
    wanted = [("scope", format_scope(scopes))] if scopes else []
    every = tuple(challenges.render(scheme, *wanted) for scheme in challenges.schemes())
    return Answer(status=401, challenges=every, reason=reason, expose=challenges.expose)


def invalid_token(challenges: Challenges, reason: str, scheme: Scheme = Scheme.BEARER) -> Answer:
    """R1. The same words for whatever was wrong, and after it the other way to come, if any."""
    first, *others = challenges.schemes(scheme)
    refused = _refused(challenges, 401, "invalid_token", reason, first)
    offers = tuple(challenges.render(other) for other in others)
    return replace(refused, challenges=refused.challenges + offers)


def invalid_request(challenges: Challenges, reason: str, scheme: Scheme = Scheme.BEARER) -> Answer:
    """R2."""
    return _refused(challenges, 400, "invalid_request", reason, scheme)


def insufficient_scope(
    challenges: Challenges, missing: Scope, scheme: Scheme = Scheme.BEARER
) -> Answer:
    """R3: what to ask for next time."""
    text = format_scope(missing)
    reason = f"missing {text}"
    return _refused(challenges, 403, "insufficient_scope", reason, scheme, ("scope", text))


def insufficient_details(
    challenges: Challenges,
    reason: str,
    missing: Scope = _NO_SCOPES,
    scheme: Scheme = Scheme.BEARER,
) -> Answer:
    """R3 of RFC 9396: other details are wanted, and no header has a place to say which."""
    wanted = [("scope", format_scope(missing))] if missing else []
    return _refused(challenges, 403, "insufficient_scope", reason, scheme, *wanted)


def invalid_dpop_proof(challenges: Challenges, reason: str) -> Answer:
    """R4 (RFC 9449 §7.1)."""
    return _refused(challenges, 401, "invalid_dpop_proof", reason, Scheme.DPOP)


def use_dpop_nonce(challenges: Challenges, nonce: str, reason: str = "no fresh nonce") -> Answer:
    """R5: the same proof again, with this nonce in it (RFC 9449 §9)."""
    refused = _refused(challenges, 401, "use_dpop_nonce", reason, Scheme.DPOP)
    return replace(refused, dpop_nonce=nonce)


def insufficient_user_authentication(
    challenges: Challenges, wanted: StepUp, scheme: Scheme = Scheme.BEARER
) -> Answer:
    """R6: how the person is to sign in (RFC 9470 §3)."""
    parameters: list[tuple[str, str]] = []
    if wanted.acr_values:
        parameters.append(("acr_values", " ".join(wanted.acr_values)))
    if wanted.max_age is not None:
        parameters.append(("max_age", str(wanted.max_age)))
    # RFC 6750 §3: a scope may stand in any challenge, and one new token should do.
    if wanted.scopes:
        parameters.append(("scope", format_scope(wanted.scopes)))
    error = "insufficient_user_authentication"
    return _refused(challenges, 401, error, wanted.reason, scheme, *parameters)


def unavailable(reason: str, retry_after: int = RETRY_AFTER) -> Answer:
    """R7: our fault or the issuer's, and not the caller's, so there is no challenge."""
    return Answer(status=503, reason=reason, retry_after=retry_after)


def forbidden(reason: str) -> Answer:
    """R8: no other token would help, so there is no challenge."""
    return Answer(status=403, reason=reason)


def not_found(reason: str) -> Answer:
    """For what some may not even know to be there (RFC 9110 §15.5.4)."""
    return Answer(status=404, reason=reason)


def answer_to(
    verdict: Verdict, challenges: Challenges, scheme: Scheme = Scheme.BEARER
) -> Answer | None:
    """The one answer to what a policy said; none if the caller may go on."""
    match verdict:
        case Allowed():
            return None
        case MissingScopes(scopes=scopes):
            return insufficient_scope(challenges, scopes, scheme)
        case MissingDetails(scopes=scopes, reason=reason):
            return insufficient_details(challenges, reason, scopes, scheme)
        case StepUp():
            return insufficient_user_authentication(challenges, verdict, scheme)
        case Forbidden(reason=reason):
            return forbidden(reason)
        case Hidden(reason=reason):
            return not_found(reason)
        case Undecided(reason=reason):
            return unavailable(reason)


def _refused(
    challenges: Challenges,
    status: int,
    error: str,
    reason: str,
    scheme: Scheme,
    *parameters: tuple[str, str],
) -> Answer:
    said = [("error", error)]
    if challenges.descriptions:
        said.append(("error_description", _DESCRIPTIONS[error]))
    # An API that does not offer the scheme a token came by points to the one that it does.
    offered = challenges.schemes(scheme)[0]
    return Answer(
        status=status,
        error=error,
        challenges=(challenges.render(offered, *said, *parameters),),
        reason=reason,
        expose=challenges.expose,
    )
