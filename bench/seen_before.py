"""A token seen before, at the API: beside checking it anew, as PyJWT's users do every time."""

import asyncio
import json
import time

import jwt
from jwt import PyJWKClient

from bench.measure import interleaved, ratio
from mintmark.api.caller import token_digest
from mintmark.api.config import TrustedIssuer
from mintmark.api.credentials import read_credentials
from mintmark.api.issuers import Issuers
from mintmark.api.validate import Validator
from mintmark.events import LogEvents
from mintmark.testing import FakeAuthority


def main() -> int:
    with FakeAuthority().serve() as authority:
        trusted = TrustedIssuer(
            issuer=authority.issuer, audience=authority.audience, policy=authority.policy
        )
        validator = Validator(Issuers([trusted], authority.clock, LogEvents()))
        token = authority.access_token(scope="orders.read orders.write")
        octets = token.reveal().encode()
        headers = [(b"host", b"api"), (b"authorization", b"Bearer " + octets)]
        asyncio.run(validator.require(octets, {}, time.time()))
        client = PyJWKClient(f"{authority.issuer}/jwks")
        assert client.jwk_set_cache is not None
        client.jwk_set_cache.lifespan = 3600
        client.get_signing_key_from_jwt(token.reveal())
        now = time.time()

        def seen() -> object:
            return validator.seen(token_digest(octets), now)

        def seen_in_a_request() -> object:
            return validator.seen(token_digest(read_credentials(headers).token), now)

        def with_pyjwk_client() -> object:
            key = client.get_signing_key_from_jwt(token.reveal())
            return jwt.decode(
                token.reveal(), key.key, algorithms=["ES256"], audience=authority.audience
            )

        assert seen() is not None
        assert json.loads(json.dumps(with_pyjwk_client()))["iss"] == authority.issuer
        timings = interleaved(
            {
                "seen before": seen,
                "seen before, with the header": seen_in_a_request,
                "PyJWT, PyJWKClient": with_pyjwk_client,
            },
            calls=2000,
        )
        validator.close()
    print("a token seen before, at the API")
    for name, timing in timings.items():
        print(f"  {name:30} {timing}  {ratio(timing, timings['seen before'])}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
