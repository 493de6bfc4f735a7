"""S-47: the scan finds what it is there to find."""

import logging

import pytest
from tests import log_scan

from mintmark.secret import Secret


class TestS47Scan:
    """The complete output of the run shows no token, code, secret, verifier, cookie or proof."""

    @pytest.mark.planted_leak
    def test_s47_a_planted_leak_is_found(self, caplog: pytest.LogCaptureFixture) -> None:
        secret = Secret.generate()
        logging.getLogger("mintmark.test").warning("the token is %s", secret.reveal())

        assert log_scan.leaks_in(caplog.text) != []
        assert secret.reveal() not in "".join(log_scan.leaks_in(caplog.text))

    def test_s47_a_signed_tokens_signature_is_a_secret_too(self) -> None:
        signature = "Zm9vYmFyYmF6cXV4cXV1eA" * 3
        Secret(f"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.{signature}")

        assert log_scan.leaks_in(f"cache hit for {signature}") != []

    def test_s47_a_fingerprint_is_no_leak(self) -> None:
        assert log_scan.leaks_in(f"token {Secret.generate()!r} was fetched") == []
