"""An ID token that came to this client: opened, and checked with the server's keys."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mintmark.client.authority import Authority
from mintmark.client.responses import acceptable, opened
from mintmark.client.token_endpoint import ClientIdentity
from mintmark.jose.jws import parse
from mintmark.protocol.id_token import IdToken, check_id_token
from mintmark.secret import Secret

__all__ = ["ReadIdToken", "read_id_token"]


@dataclass(frozen=True, slots=True)
class ReadIdToken:
    """What it says, and its signed form, which is what a server takes as a hint."""

    id_token: IdToken
    signed: Secret


def read_id_token(
    token: Secret,
    authority: Authority,
    identity: ClientIdentity,
    *,
    nonce: Secret | None,
    now: datetime,
    access_token: Secret,
    code: Secret | None = None,
    max_age: timedelta | None = None,
) -> ReadIdToken:
    """Raises `JoseError` for every ID token but the one that was to come."""
    responses = identity.responses
    signed = opened(
        token.reveal(),
        responses.decryption_keys,
        responses.id_token_encrypted_response_alg,
        now=now.timestamp(),
    )
    id_token = check_id_token(
        Secret(signed),
        issuer=authority.issuer,
        client_id=identity.client_id,
        keys=authority.keys_for(parse(signed).header.kid),
        algorithms=acceptable(
            responses.id_token_signed_response_alg,
            authority.metadata().id_token_signing_alg_values_supported,
        ),
        nonce=nonce,
        now=now,
        max_age=max_age,
        access_token=access_token,
        code=code,
    )
    # OIDC Core §3.1.2.1: a hint is the signed token, whatever it came in.
    return ReadIdToken(id_token, Secret(signed))
