"""Compares an answer with the one that the list names. What is found never quotes a token."""

import re
from typing import Final

from mintmark.protocol.challenge import Challenge, parse_challenges
from mintmark.testing.attacks.model import (
    ACCEPTED,
    CLOSED,
    GONE,
    PASSED,
    R1_DPOP,
    R4,
    R5,
    R7,
    Answer,
    Request,
)
from mintmark.testing.running import Reply

__all__ = ["differences", "shown", "traces_of"]

_PIECE: Final = re.compile(r"[A-Za-z0-9_\-]{20,}")
_REFUSALS: Final = frozenset({400, 401, 403})
_TAKEN: Final = frozenset({200, 101})


def shown(reply: Reply) -> str:
    """What came back, for a message: status and challenge errors, and nothing that was sent."""
    if reply.closed is not None and not reply.status:
        return f"WebSocket closed with {reply.closed}"
    errors = [
        f"{challenge.scheme} {challenge.parameters.get('error', '')}".strip()
        for challenge in parse_challenges(reply.every("www-authenticate"))
    ]
    return " ".join([str(reply.status), *errors])[:200]


def differences(reply: Reply, expected: Answer, *, lenient: bool, method: str) -> list[str]:
    """In what this answer is not the expected one; nothing, if it is."""
    if expected in (CLOSED, GONE):
        return _closing(reply, expected)
    if expected == ACCEPTED:
        return [] if reply.status in _TAKEN else [f"expected {expected}, got {shown(reply)}"]
    if expected == PASSED:
        refused = reply.status in {401, 403, 500, 503} or reply.every("www-authenticate")
        return [f"expected {expected}, got {shown(reply)}"] if refused else []
    if lenient:
        other = {405, 501} if method != "GET" else set()
        allowed = _REFUSALS | other | ({503} if expected == R7 else set()) | {expected.status}
        return [] if reply.status in allowed else [f"expected a refusal, got {shown(reply)}"]
    if reply.status != expected.status:
        return [f"expected {expected}, got {shown(reply)}"]
    return [*_challenge(reply, expected), *_around(reply, expected, method)]


def _closing(reply: Reply, expected: Answer) -> list[str]:
    codes = {1008} if expected == CLOSED else {1008, 4401}
    if expected == CLOSED and reply.status == 101:
        return ["the handshake was accepted"]
    if reply.closed in codes or (expected == CLOSED and reply.status in _REFUSALS):
        return []
    return [f"expected {expected}, got {shown(reply)}"]


def _challenge(reply: Reply, expected: Answer) -> list[str]:
    challenges = parse_challenges(reply.every("www-authenticate"))
    wrong: list[str] = []
    if not expected.scheme:
        return ["a challenge where none helps"] if challenges else []
    if not any(challenge.is_for(expected.scheme) for challenge in challenges):
        return [f"no {expected.scheme} challenge"]
    errors = [one for one in challenges if "error" in one.parameters]
    if not expected.error:
        return ["an error where nothing was sent"] if errors else []
    if [(e.scheme.lower(), e.parameters["error"]) for e in errors] != [
        (expected.scheme.lower(), expected.error)
    ]:
        wrong.append(f"expected {expected}, got {shown(reply)}")
        return wrong
    if expected.offers and not any(c.is_for(expected.offers) for c in challenges):
        wrong.append(f"no {expected.offers} challenge beside it")
    return [*wrong, *_parameters(errors[0], expected)]


def _parameters(challenge: Challenge, expected: Answer) -> list[str]:
    return [
        f"the challenge's {name} is not {value!r}"
        for name, value in expected.parameters
        if challenge.parameters.get(name) != value
    ]


def _around(reply: Reply, expected: Answer, method: str) -> list[str]:
    wrong: list[str] = []
    if reply.every("set-cookie"):
        wrong.append("a refusal sets a cookie")
    if expected == R7 and not reply.every("retry-after"):
        wrong.append("no Retry-After")
    if expected == R5 and not (
        reply.every("dpop-nonce") and "no-store" in ",".join(reply.every("cache-control"))
    ):
        wrong.append("no DPoP-Nonce, or one that may be stored")
    if expected in (R4, R1_DPOP, R5) and not any(
        c.is_for("DPoP") and c.parameters.get("algs")
        for c in parse_challenges(reply.every("www-authenticate"))
    ):
        wrong.append("the DPoP challenge names no algs")
    if method == "HEAD" and reply.body:
        wrong.append("an answer to HEAD has a body")
    if method != "HEAD" and reply.every("content-type") != ["application/problem+json"]:
        wrong.append("the body is no problem details")
    return wrong


def traces_of(request: Request, text: str) -> bool:
    """Whether a part of a token that was sent can be seen in a text."""
    sent = [v.decode("latin-1") for n, v in request.headers if n == b"authorization"]
    if not text or not (sent or request.tokens):
        return False
    for value in (*sent, *request.tokens):
        # The last segment: header and payload are alike in many tokens, a signature never is.
        for piece in _PIECE.findall(value.rpartition(".")[2][-600:]):
            if piece in text:
                return True
    return False
