"""Tokens as an attacker, or a careless issuer, would make them: any header, any payload."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

from mintmark.jose.base64url import encode
from mintmark.jose.keys import SigningKey

__all__ = ["Part", "Signer", "compact", "hmac_signer", "padded", "raw_json", "segment", "unsigned"]

Signer = SigningKey | Callable[[bytes], bytes]
Part = Mapping[str, Any] | bytes | str | list[Any] | int | None


def raw_json(part: Part) -> bytes:
    """JSON as it is usually written; octets as they are."""
    if isinstance(part, bytes):
        return part
    return json.dumps(part, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def segment(part: Part) -> str:
    return encode(raw_json(part))


def compact(header: Part, payload: Part, signer: Signer) -> str:
    """Exactly this header over exactly this payload, with a signature that holds."""
    signing_input = f"{segment(header)}.{segment(payload)}"
    sign = signer.sign if isinstance(signer, SigningKey) else signer
    return f"{signing_input}.{encode(sign(signing_input.encode('ascii')))}"


def unsigned(header: Part, payload: Part) -> str:
    """The same with nothing behind the second dot."""
    return f"{segment(header)}.{segment(payload)}."


def hmac_signer(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda content: hmac.digest(secret, content, hashlib.sha256)


def padded(text: str) -> str:
    """A segment as other decoders would still take it: filled up with `=`."""
    return text + "=" * (-len(text) % 4)
