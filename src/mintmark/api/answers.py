"""Every refusal, made in one place: status, challenge, body."""

from dataclasses import dataclass
from typing import Final

import msgspec

from mintmark.protocol.challenge import render_challenge
from mintmark.protocol.message import NO_STORE, HttpResponse
from mintmark.protocol.scope import Scope, format_scope

__all__ = [
    "Answer",
    "forbidden",
    "insufficient_scope",
    "invalid_request",
    "invalid_token",
    "no_credentials",
    "unavailable",
]

RETRY_AFTER: Final = 5
_TITLES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A refusal: what it is called on the wire, and why, which stays here."""

    status: int
    error: str = ""
    challenge: str = ""
    reason: str = ""

    def response(self) -> HttpResponse:
        """Problem details without anything of the token (RFC 9457 §3)."""
        problem: dict[str, str | int] = {"title": _TITLES[self.status], "status": self.status}
        if self.error:
            problem["error"] = self.error
        headers = [(b"content-type", b"application/problem+json"), *NO_STORE]
        if self.challenge:
            # RFC 9110 §11.6.1: a 401 without a challenge is no 401.
            headers.append((b"www-authenticate", self.challenge.encode("ascii")))
        if self.status == 503:
            headers.append((b"retry-after", str(RETRY_AFTER).encode("ascii")))
        return HttpResponse(self.status, tuple(headers), msgspec.json.encode(problem))


def no_credentials(realm: str, reason: str) -> Answer:
    """R0. RFC 6750 §3.1: who sent nothing is told of no error."""
    return Answer(status=401, challenge=_challenge(realm), reason=reason)


def invalid_token(realm: str, reason: str) -> Answer:
    """R1. The same words for whatever was wrong."""
    return _refused(401, "invalid_token", realm, reason)


def invalid_request(realm: str, reason: str) -> Answer:
    """R2."""
    return _refused(400, "invalid_request", realm, reason)


def insufficient_scope(realm: str, missing: Scope) -> Answer:
    """R3: what to ask for next time."""
    text = format_scope(missing)
    challenge = _challenge(realm, ("error", "insufficient_scope"), ("scope", text))
    return Answer(
        status=403, error="insufficient_scope", challenge=challenge, reason=f"missing {text}"
    )


def unavailable(reason: str) -> Answer:
    """R7: our fault or the issuer's, and not the caller's, so there is no challenge."""
    return Answer(status=503, reason=reason)


def forbidden(reason: str) -> Answer:
    """R8: no other token would help, so there is no challenge."""
    return Answer(status=403, reason=reason)


def _refused(status: int, error: str, realm: str, reason: str) -> Answer:
    challenge = _challenge(realm, ("error", error))
    return Answer(status=status, error=error, challenge=challenge, reason=reason)


def _challenge(realm: str, *parameters: tuple[str, str]) -> str:
    return render_challenge("Bearer", [("realm", realm), *parameters])
