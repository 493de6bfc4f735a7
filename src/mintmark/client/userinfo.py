"""What the server says about a person, beyond the ID token (OIDC Core §5.3)."""

from collections.abc import Mapping
from typing import Any

from mintmark.client.attachment import header_with
from mintmark.client.authority import Authority
from mintmark.client.binding import Proof
from mintmark.client.errors import AuthorityUnavailable, TokenRefused
from mintmark.client.responses import acceptable, opened
from mintmark.client.token_endpoint import ClientIdentity, refusal_of
from mintmark.fetch import Fetched, FetchError
from mintmark.jose.errors import ClaimRefused, HeaderRefused, JoseError, Malformed
from mintmark.jose.jws import parse
from mintmark.jose.strict_json import decode_object
from mintmark.protocol.challenge import parse_challenges
from mintmark.secret import Secret

__all__ = ["fetch_userinfo"]

JWT = "application/jwt"


def fetch_userinfo(
    authority: Authority, identity: ClientIdentity, access_token: Secret, *, subject: str
) -> Mapping[str, Any]:
    """The claims about this person.

    Raises:
        AuthorityUnavailable: the server has no such endpoint, or does not answer.
        TokenRefused: it refuses the token, or answers about somebody else, or not as registered.
    """
    fetched = _asked(authority, identity, access_token)
    if fetched.status != 200:
        raise _refusal(fetched)
    try:
        claims = _claims(fetched, authority, identity)
    except JoseError as refusal:
        raise TokenRefused("invalid_userinfo", refusal.reason) from None
    # OIDC Core §5.3.2: exactly, or nothing of it may be used: a token of somebody else was sent.
    if claims.get("sub") != subject:
        raise TokenRefused("invalid_userinfo", "the answer is about another person")
    return claims


def _asked(authority: Authority, identity: ClientIdentity, access_token: Secret) -> Fetched:
    url, sender = identity.address(authority, "userinfo_endpoint"), identity.sender
    fetched, used = _sent(authority, identity, access_token, url)
    fresh = sender.learn(url, fetched.headers.get("dpop-nonce")) if sender else None
    # RFC 9449 §9: once.
    if sender is not None and fresh not in (None, used) and _wants_nonce(fetched):
        fetched, _ = _sent(authority, identity, access_token, url)
        sender.learn(url, fetched.headers.get("dpop-nonce"))
    return fetched


def _sent(
    authority: Authority, identity: ClientIdentity, access_token: Secret, url: str
) -> tuple[Fetched, str | None]:
    """The answer, and the nonce that was sent."""
    proof = identity.sender.prove("GET", url, access_token) if identity.sender else Proof()
    headers = {
        "authorization": header_with(access_token, identity.token_type),
        "accept": f"{JWT}, */*;q=0.9",
        **proof.headers,
    }
    try:
        return authority.fetcher.get(url, headers, shown=identity.shown()), proof.nonce
    except FetchError as failure:
        raise AuthorityUnavailable(failure.reason) from None


def _wants_nonce(fetched: Fetched) -> bool:
    challenges = parse_challenges([fetched.headers.get("www-authenticate", "")])
    return fetched.status == 401 and any(
        one.is_for("DPoP") and one.parameters.get("error") == "use_dpop_nonce" for one in challenges
    )


def _refusal(fetched: Fetched) -> AuthorityUnavailable | TokenRefused:
    # OIDC Core §5.3.3: said in the header, as by every API.
    for challenge in parse_challenges([fetched.headers.get("www-authenticate", "")]):
        error = challenge.parameters.get("error")
        if error and fetched.status in (401, 403):
            return TokenRefused(error[:100])
    return refusal_of(fetched)


def _claims(fetched: Fetched, authority: Authority, identity: ClientIdentity) -> dict[str, Any]:
    responses = identity.responses
    kind = fetched.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JWT:
        if responses.userinfo_signed_response_alg or responses.userinfo_encrypted_response_alg:
            raise HeaderRefused("the answer is not the registered kind")
        return decode_object(fetched.body)
    try:
        text = fetched.body.decode("ascii").strip()
    except UnicodeDecodeError:
        raise Malformed("the answer is no JWT") from None
    signed = opened(
        text,
        responses.decryption_keys,
        responses.userinfo_encrypted_response_alg,
        now=authority.clock.timestamp(),
    )
    return _checked(signed, authority, identity)


def _checked(signed: str, authority: Authority, identity: ClientIdentity) -> dict[str, Any]:
    jws = parse(signed)
    # RFC 8725 §3.11: an access token, for one, is another kind.
    if jws.header.typ not in (None, "jwt"):
        raise HeaderRefused("typ says that this is another kind of token")
    algorithms = acceptable(
        identity.responses.userinfo_signed_response_alg,
        authority.metadata().userinfo_signing_alg_values_supported,
    )
    jws.require_signature(authority.keys_for(jws.header.kid), algorithms)
    claims = decode_object(jws.payload)
    # OIDC Core §5.3.2: signed answers say by whom they are, and for whom.
    if claims.get("iss") != authority.issuer:
        raise ClaimRefused("iss", "is missing or another issuer")
    aud = claims.get("aud")
    if identity.client_id not in (aud if isinstance(aud, list) else [aud]):
        raise ClaimRefused("aud", "does not name this client")
    return claims
