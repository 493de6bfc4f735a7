"""What the API refuses: every answer with its status and its challenge."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import httpx2

from mintmark.demo.check.step import Walk, flip, require
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.jws import sign
from mintmark.jose.keys import SigningKey
from mintmark.protocol.access_token import read_access_token

__all__ = ["STEPS"]


def _require_answer(answer: httpx2.Response, status: int, error: str | None, what: str) -> None:
    challenge = answer.headers.get("www-authenticate", "")
    require(answer.status_code == status, f"{what} was answered {answer.status_code}")
    if error is None:
        require(
            challenge.startswith("Bearer ") and "error" not in challenge, f"{what}: {challenge}"
        )
    else:
        require(f'error="{error}"' in challenge, f"{what}: {challenge}")


def s19_without_a_token_a_bare_challenge(walk: Walk) -> None:
    """Without a token: 401 and a challenge that names no error"""
    _require_answer(walk.call("/photo", None), 401, None, "no header")


def s20_a_malformed_header_is_a_bad_request(walk: Walk) -> None:
    """A malformed header, or two of them: 400 invalid_request"""
    token = walk.app_token("photos.read")
    url = walk.url("api") + "/photo"
    for value in ("Bearer", "Bearer a b", f"Bearer {token},Bearer {token}"):
        answer = walk.http.get(url, headers={"authorization": value})
        _require_answer(answer, 400, "invalid_request", "a malformed header")
    twice = [("authorization", f"Bearer {token}"), ("authorization", f"Bearer {token}")]
    _require_answer(walk.http.get(url, headers=twice), 400, "invalid_request", "two headers")


def s21_one_altered_byte_is_refused(walk: Walk) -> None:
    """One altered byte in header, payload or signature: 401 invalid_token"""
    token = walk.app_token("photos.read")
    require(walk.call("/photo", token).status_code == 200, "the honest token was refused")
    parts = token.split(".")
    for position in range(3):
        altered = [flip(p) if i == position else p for i, p in enumerate(parts)]
        answer = walk.call("/photo", ".".join(altered))
        _require_answer(answer, 401, "invalid_token", "an altered token")
        require("signature" not in answer.text.lower(), "the answer says why")


def s22_a_token_cannot_choose_how_it_is_checked(walk: Walk) -> None:
    """alg none, HMAC with the public key, another key, a key in the header: 401"""
    token = walk.app_token("photos.read")
    claims = read_access_token(token).claims
    foreign = SigningKey.generate(Algorithm.ES256)
    published = walk.http.get(walk.url("server") + "/jwks").json()["keys"][0]
    header = {"alg": "ES256", "typ": "at+jwt", "kid": published["kid"]}
    same_name = SigningKey.generate(Algorithm.ES256, kid=published["kid"])
    wrong_type = SigningKey.generate(Algorithm.RS256, kid=published["kid"])
    hostile = {
        "none": _compact(header | {"alg": "none"}, claims, lambda _: b""),
        "HMAC": _compact(header | {"alg": "HS256"}, claims, _hmac_with(published)),
        "unknown kid": sign(_json(claims), foreign, typ="at+jwt"),
        "same kid": sign(_json(claims), same_name, typ="at+jwt"),
        "wrong key type": sign(_json(claims), wrong_type, typ="at+jwt"),
        "own key": _compact(header | {"jwk": foreign.public.to_jwk()}, claims, foreign.sign),
        "own key set": _compact(
            header | {"jku": "http://127.0.0.1:9/keys", "kid": foreign.kid}, claims, foreign.sign
        ),
    }
    for name, token_text in hostile.items():
        _require_answer(walk.call("/photo", token_text), 401, "invalid_token", name)


def _compact(header: Mapping[str, Any], claims: Mapping[str, Any], signer: Any) -> str:
    content = f"{_segment(_json(header))}.{_segment(_json(claims))}"
    return f"{content}.{_segment(signer(content.encode()))}"


def _hmac_with(published: Mapping[str, str]) -> Any:
    key = json.dumps(published).encode()
    return lambda content: hmac.digest(key, content, hashlib.sha256)


def _json(members: Mapping[str, Any]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()


def _segment(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


def s23_claims_must_be_for_here_and_now(walk: Walk) -> None:
    """Another issuer or audience, a time that is not now, a missing claim: 401"""
    key = walk.running.signing_key
    honest = read_access_token(walk.app_token("photos.read")).claims
    require(
        walk.call("/photo", sign(_json(honest), key, typ="at+jwt")).status_code == 200,
        "the honest twin was refused",
    )
    changes: list[dict[str, Any]] = [
        {"iss": "http://localhost:1"},
        {"aud": None},
        {"aud": walk.url("downstream")},
        {"exp": honest["iat"] - 3600},
        {"nbf": honest["exp"] + 3600},
        {"iat": honest["exp"] - 1, "exp": honest["exp"]},
        {"sub": None},
        {"client_id": None},
        {"jti": None},
        {"iat": None},
        {"exp": None},
    ]
    for change in changes:
        claims = {k: v for k, v in (honest | change).items() if v is not None}
        answer = walk.call("/photo", sign(_json(claims), key, typ="at+jwt"))
        _require_answer(answer, 401, "invalid_token", f"a token with another {'/'.join(change)}")


def s24_other_kinds_of_token_are_no_access_tokens(walk: Walk) -> None:
    """An ID token, a refresh token, a proof or an assertion: 401"""
    stored = walk.running.stored_tokens(walk.person().cookies["localhost", "__Host-session"])
    require(stored is not None and stored.id_token and stored.refresh_token, "no tokens are kept")
    assert stored is not None
    assert stored.id_token is not None
    assert stored.refresh_token is not None
    claims = read_access_token(walk.app_token("photos.read")).claims
    key = walk.running.signing_key
    others = {
        "an ID token": stored.id_token.reveal(),
        "a refresh token": stored.refresh_token.reveal(),
        "a proof": sign(_json(claims), key, typ="dpop+jwt"),
        "an assertion": sign(_json(claims), key, typ="JWT"),
    }
    for name, token in others.items():
        _require_answer(walk.call("/photo", token), 401, "invalid_token", name)


def s26_a_scope_is_a_whole_word(walk: Walk) -> None:
    """Without the scope: 403 and its name; part of its name is not it, more than it is"""
    key = walk.running.signing_key
    honest = read_access_token(walk.app_token("photos.read")).claims
    for scope, status in (
        ("photos", 403),
        ("photos.readx", 403),
        ("xphotos.read", 403),
        ("photos.read other", 200),
    ):
        answer = walk.call("/photo", sign(_json(honest | {"scope": scope}), key, typ="at+jwt"))
        require(answer.status_code == status, f"{scope!r} was answered {answer.status_code}")
        if status == 403:
            _require_answer(answer, 403, "insufficient_scope", scope)
            challenge = answer.headers["www-authenticate"]
            require('scope="photos.read"' in challenge, "the scope is not named")


def s27_a_route_without_a_policy_is_closed(walk: Walk) -> None:
    """A route that names no policy is closed, and the report at start says so"""
    _require_answer(walk.call("/unmarked", None), 401, None, "an unmarked route")
    answer = walk.call("/unmarked", walk.app_token("photos.read"))
    require(answer.status_code == 403, f"an unmarked route was answered {answer.status_code}")
    require("nobody reads this" not in answer.text, "an unmarked route answered")
    report = walk.running.api_gate.report()
    require("/unmarked" in report and "refused" in report, "the report does not name it")


STEPS = (
    s19_without_a_token_a_bare_challenge,
    s20_a_malformed_header_is_a_bad_request,
    s21_one_altered_byte_is_refused,
    s22_a_token_cannot_choose_how_it_is_checked,
    s23_claims_must_be_for_here_and_now,
    s24_other_kinds_of_token_are_no_access_tokens,
    s26_a_scope_is_a_whole_word,
    s27_a_route_without_a_policy_is_closed,
)
