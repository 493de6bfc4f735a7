"""Tokens as an attacker, or a careless issuer, would make them: any header, any payload."""

import json
from collections.abc import Mapping
from typing import Any, Final

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.base64url import encode
from mintmark.jose.keys import SigningKey

__all__ = ["ES256", "RS256", "compact", "segment", "signed"]

ES256: Final = SigningKey.generate(Algorithm.ES256)
RS256: Final = SigningKey.generate(Algorithm.RS256)


def segment(octets: bytes) -> str:
    return encode(octets)


def compact(header: Mapping[str, Any] | bytes, payload: bytes, key: SigningKey = ES256) -> str:
    """Exactly this header over exactly this payload, with a signature that holds."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    content = f"{segment(head)}.{segment(payload)}"
    return f"{content}.{segment(key.sign(content.encode()))}"


def signed(payload: Mapping[str, Any] | bytes, key: SigningKey = ES256, **members: Any) -> str:
    """An access token's header, with members replaced, added, or left out where None."""
    header = {"alg": key.algorithm.value, "typ": "at+jwt", "kid": key.kid, **members}
    octets = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return compact({k: v for k, v in header.items() if v is not None}, octets, key)
