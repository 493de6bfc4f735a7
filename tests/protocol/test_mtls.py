"""RFC 8705 §3: a token that is bound to a certificate."""

import base64
import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.jose.errors import JoseError
from mintmark.protocol.mtls import (
    CertificateRefused,
    certificate_thumbprint,
    require_bound_to,
    require_thumbprint,
)

DER = b"octets of a certificate"
OTHER = b"octets of another certificate"


def encoded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")


class TestThumbprint:
    """RFC 8705 §3.1: base64url of the SHA-256 of the DER, without padding."""

    def test_it_is_the_sha_256_of_the_der(self) -> None:
        assert certificate_thumbprint(DER) == encoded(hashlib.sha256(DER).digest())

    def test_its_own_spelling_is_accepted(self) -> None:
        thumbprint = certificate_thumbprint(DER)

        assert require_thumbprint(thumbprint) == thumbprint

    @pytest.mark.parametrize(
        "value",
        [
            pytest.param(encoded(b"\xfb" * 32) + "=", id="padded"),
            pytest.param(encoded(b"\xfb\xff" * 16).replace("-", "+"), id="plus"),
            pytest.param(encoded(b"\xfb\xff" * 16).replace("_", "/"), id="slash"),
            pytest.param(encoded(hashlib.sha1(DER, usedforsecurity=False).digest()), id="sha-1"),
            pytest.param(hashlib.sha256(DER).hexdigest(), id="hexadecimal"),
            pytest.param(encoded(b"\0" * 32)[:-1] + "B", id="bits that encode nothing"),
            pytest.param(encoded(b"\0" * 31), id="an octet less"),
            pytest.param(encoded(b"\0" * 33), id="an octet more"),
            pytest.param(encoded(b"\0" * 32) + "\n", id="line end"),
            pytest.param("", id="empty"),
            pytest.param("é" * 43, id="not ascii"),
            pytest.param(None, id="null"),
            pytest.param(43, id="number"),
            pytest.param([encoded(b"\0" * 32)], id="list"),
        ],
    )
    def test_k05_another_spelling_is_refused(self, value: object) -> None:
        with pytest.raises(CertificateRefused):
            require_thumbprint(value)

    def test_k05_the_alphabets_two_own_characters_are_accepted(self) -> None:
        """The honest twin: `-` and `_` where the standard alphabet has `+` and `/`."""
        thumbprint = encoded(b"\xfb\xff" * 16)

        assert {"-", "_"} <= set(thumbprint)
        assert require_thumbprint(thumbprint) == thumbprint

    def test_w79_a_list_of_sha_1_thumbprints_is_no_list_of_certificates(self) -> None:
        with pytest.raises(CertificateRefused):
            require_bound_to(DER, encoded(hashlib.sha1(DER, usedforsecurity=False).digest()))

    @given(st.one_of(st.text(max_size=60), st.none(), st.integers(), st.binary(max_size=60)))
    def test_only_our_own_exception_leaves(self, value: object) -> None:
        with suppress(CertificateRefused):
            assert require_thumbprint(value) == value


class TestBinding:
    """RFC 8705 §3: the certificate of the connection is the one the token names."""

    def test_the_same_certificate_is_accepted_and_its_thumbprint_returned(self) -> None:
        thumbprint = certificate_thumbprint(DER)

        assert require_bound_to(DER, thumbprint) == thumbprint

    def test_k01_without_a_certificate_it_is_refused(self) -> None:
        with pytest.raises(CertificateRefused, match="none came along"):
            require_bound_to(None, certificate_thumbprint(DER))

    def test_k02_another_certificate_is_refused(self) -> None:
        with pytest.raises(CertificateRefused, match="another certificate"):
            require_bound_to(OTHER, certificate_thumbprint(DER))

    def test_k05_a_thumbprint_that_is_none_is_refused_whatever_the_certificate(self) -> None:
        with pytest.raises(CertificateRefused):
            require_bound_to(DER, certificate_thumbprint(DER) + "=")

    def test_the_refusal_is_one_that_every_bad_token_gets(self) -> None:
        with pytest.raises(JoseError) as refused:
            require_bound_to(OTHER, certificate_thumbprint(DER))

        assert certificate_thumbprint(OTHER) not in str(refused.value)
        assert certificate_thumbprint(DER) not in refused.value.reason
