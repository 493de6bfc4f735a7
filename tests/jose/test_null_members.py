"""`null` is not "left out", and depth means the same on the fast path and on the slow one."""

import json
from typing import Any

import pytest

from mintmark.jose.algorithms import Algorithm
from mintmark.jose.base64url import encode
from mintmark.jose.errors import HeaderRefused, KeyRefused, Malformed
from mintmark.jose.jws import parse
from mintmark.jose.keys import SigningKey, VerificationKey
from mintmark.jose.strict_json import MAX_DEPTH, decode_object


class TestNull:
    """RFC 7515 §4.1.4, RFC 7515 §4.1.9, RFC 7517 §4: a string where it stands at all; D4."""

    @pytest.mark.parametrize("name", ["kid", "typ"])
    def test_a_header_member_that_is_null_is_refused(self, name: str) -> None:
        """C15, D4"""

        def token(header: dict[str, Any]) -> str:
            return f"{encode(json.dumps(header).encode())}.{encode(b'{}')}.AAAA"

        assert parse(token({"alg": "ES256"})).header.kid is None
        with pytest.raises(HeaderRefused):
            parse(token({"alg": "ES256", name: None}))

    def test_a_key_whose_kid_is_null_is_refused(self) -> None:
        members = SigningKey.generate(Algorithm.ES256).public.to_jwk()
        VerificationKey.from_jwk({k: v for k, v in members.items() if k != "kid"})

        with pytest.raises(KeyRefused):
            VerificationKey.from_jwk({**members, "kid": None})

    def test_a_header_of_encryption_is_refused(self) -> None:
        """C18: RFC 7516 §4.1; `tag` belongs to it as `iv` does."""
        head = encode(b'{"alg":"ES256","tag":"AAAA"}')
        with pytest.raises(HeaderRefused):
            parse(f"{head}.{encode(b'{}')}.AAAA")


class TestDepth:
    """RFC 8259 §9: a parser may limit depth; B14. White space must not move the limit."""

    @pytest.mark.parametrize("blank", [b"", b" "], ids=["compact", "with a blank"])
    @pytest.mark.parametrize("inner", [b"", b"1"], ids=["empty", "filled"])
    def test_ends_at_the_same_depth_on_both_paths(self, blank: bytes, inner: bytes) -> None:
        def nested(depth: int) -> bytes:
            arrays = depth - 1
            return b"{" + blank + b'"a":' + b"[" * arrays + inner + b"]" * arrays + b"}"

        assert decode_object(nested(MAX_DEPTH))["a"]
        with pytest.raises(Malformed):
            decode_object(nested(MAX_DEPTH + 1))

    @pytest.mark.parametrize("depth", range(1, 8))
    def test_a_duplicate_is_found_at_every_depth(self, depth: int) -> None:
        """RFC 7519 §4: names are unique, on the fast path, on the slow one, and between them."""
        honest = b'{"a":' * depth + b'{"b":1,"c":2}' + b"}" * depth

        assert decode_object(honest) == json.loads(honest)
        with pytest.raises(Malformed):
            decode_object(honest.replace(b'"c"', b'"b"'))
