"""Checking and minting an access token beside the bare signature, PyJWT and joserfc."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import jwt
import msgspec
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import import_key
from jwt import PyJWK, PyJWKClient

from bench.measure import Timing, interleaved, ratio
from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.jws import parse
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.protocol.access_token import check_access_token, mint_access_token
from mintmark.secret import Secret

ISSUER, AUDIENCE = "https://id.bench.example", "https://api.bench.example"
NOW, LIFETIME = datetime.now(UTC), timedelta(hours=1)
SCOPE = frozenset({"orders.read", "orders.write", "stock.read"})
EXTRA = {
    "auth_time": 1_790_000_000,
    "acr": "urn:bench:acr:password",
    "roles": ["clerk", "auditor", "reader"],
    "groups": ["finance", "berlin"],
}


def minting(key: SigningKey) -> Callable[[], Secret]:
    def minted() -> Secret:
        return mint_access_token(
            iss=ISSUER,
            sub="4f3c5b1e-6a1d-4a7e-9f8b-7f1f0d2a1c11",
            aud=(AUDIENCE,),
            client_id="bench-client-0001",
            scope=SCOPE,
            jti="b7a5c1d9e3f24c0a9d1e5f6a7b8c9d0e",
            now=NOW,
            lifetime=LIFETIME,
            key=key,
            extra=EXTRA,
        )

    return minted


def verify_cases(key: SigningKey) -> dict[str, Callable[[], object]]:
    token = minting(key)().reveal()
    jws = parse(token)
    keys = KeySet.of(key.public)
    algorithm = key.algorithm
    now = time.time()
    jwk = key.public.to_jwk()
    pyjwt_key = PyJWK(jwk).key
    client = PyJWKClient("https://keys.bench.example")
    # Its own cache, filled as a fetch would have filled it: the network is not what is measured.
    assert client.jwk_set_cache is not None
    client.jwk_set_cache.put(json.loads(keys.to_json()))
    client.jwk_set_cache.lifespan = 3600
    joserfc_key = import_key(dict(jwk))
    registry = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
    )

    def with_pyjwt() -> object:
        return jwt.decode(
            token, pyjwt_key, algorithms=[algorithm.value], audience=AUDIENCE, issuer=ISSUER
        )

    def with_pyjwk_client() -> object:
        chosen = client.get_signing_key_from_jwt(token)
        return jwt.decode(
            token, chosen.key, algorithms=[algorithm.value], audience=AUDIENCE, issuer=ISSUER
        )

    def with_joserfc() -> object:
        decoded = joserfc_jwt.decode(token, joserfc_key, algorithms=[algorithm.value])
        registry.validate(decoded.claims)
        return decoded

    return {
        "raw signature": lambda: key.public.verify(jws.signature, jws.signing_input, algorithm),
        "mintmark, all checks": lambda: check_access_token(
            token,
            issuer=ISSUER,
            audience=AUDIENCE,
            keys=keys,
            algorithms=ALL_ALGORITHMS,
            now=now,
        ),
        "PyJWT, key object": with_pyjwt,
        "PyJWT, PyJWKClient": with_pyjwk_client,
        "joserfc, key object": with_joserfc,
    }


def mint_cases(key: SigningKey) -> dict[str, Callable[[], object]]:
    with_mintmark = minting(key)
    jws = parse(with_mintmark().reveal())
    claims = msgspec.json.decode(jws.payload)
    signing_input = jws.signing_input
    algorithm = key.algorithm.value
    private = key._private  # noqa: SLF001 -- PyJWT takes the bare key, as its users pass it
    joserfc_key = import_key(key.to_pkcs8(), "EC" if algorithm == "ES256" else "RSA")
    header = {"alg": algorithm, "typ": "at+jwt", "kid": key.kid}
    return {
        "raw signature": lambda: key.sign(signing_input),
        "mintmark": with_mintmark,
        "PyJWT, key object": lambda: jwt.encode(claims, private, algorithm, headers=header),
        "joserfc, key object": lambda: joserfc_jwt.encode(header, claims, joserfc_key),
    }


def show(title: str, timings: dict[str, Timing]) -> None:
    raw, ours = list(timings.values())[:2]
    print(title)
    for name, timing in timings.items():
        print(
            f"  {name:22} {timing}  to raw {ratio(timing, raw)}  to mintmark {ratio(timing, ours)}"
        )


def main() -> int:
    for algorithm in (Algorithm.RS256, Algorithm.ES256):
        key = SigningKey.generate(algorithm)
        show(f"check an access token, {algorithm}", interleaved(verify_cases(key), calls=600))
    for algorithm in (Algorithm.RS256, Algorithm.ES256):
        key = SigningKey.generate(algorithm)
        calls = 100 if algorithm is Algorithm.RS256 else 1000
        show(f"mint an access token, {algorithm}", interleaved(mint_cases(key), calls=calls))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
