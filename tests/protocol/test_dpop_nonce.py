"""Nonces that turn with time, without a table (RFC 9449 §8, §8.1, §8.2)."""

import pickle
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.protocol.dpop_nonce import NonceRefused, Nonces

KEY = bytes(range(32))
NONCES = Nonces(KEY, lifetime=timedelta(seconds=60))
START = 1_767_268_800.0  # a multiple of 60: a period begins here


def refuses(nonce: str | None, now: float, nonces: Nonces = NONCES) -> None:
    with pytest.raises(NonceRefused):
        nonces.require_current(nonce, now)


def test_a_nonce_is_the_same_for_a_period_and_another_afterwards() -> None:
    assert NONCES.current(START) == NONCES.current(START + 59.9)
    assert NONCES.current(START) != NONCES.current(START + 60)
    assert NONCES.current(START) != NONCES.current(START - 0.1)


def test_a_nonce_is_what_a_header_may_hold() -> None:
    """RFC 9449 §8.1: NQCHAR."""
    assert re.fullmatch(r"[\x21\x23-\x5B\x5D-\x7E]{32}", NONCES.current(START))


def test_j26_the_current_and_the_previous_generation_are_accepted_and_no_other() -> None:
    nonce = NONCES.current(START)

    for later in (0, 59.9, 60, 119.9):
        assert NONCES.require_current(nonce, START + later) == nonce
    for later in (120, 180, 86_400):
        refuses(nonce, START + later)
    # Nobody gave it out yet, so whoever has it guessed it.
    refuses(nonce, START - 0.1)


def test_j25_a_missing_foreign_expired_or_tampered_nonce_is_refused() -> None:
    nonce = NONCES.current(START)

    for bad in (None, "", "a nonce", nonce[:-1], nonce + "x", nonce.swapcase(), f" {nonce}", "ü",
                "\ud800"):  # fmt: skip
        refuses(bad, START)
    assert NONCES.require_current(nonce, START) == nonce


def test_j25_a_nonce_of_another_server_is_refused() -> None:
    other = Nonces(bytes(32))

    refuses(other.current(START), START)
    refuses(NONCES.current(START), START, other)
    assert other.require_current(other.current(START), START)


def test_processes_with_the_same_key_agree() -> None:
    other = Nonces(KEY, lifetime=timedelta(seconds=60))

    assert NONCES.require_current(other.current(START), START)


def test_time_that_goes_back_changes_no_nonce() -> None:
    first, second = NONCES.current(START), NONCES.current(START + 60)

    assert NONCES.current(START) == first
    assert NONCES.current(START + 60) == second


def test_a_key_is_32_bytes_and_a_period_a_second_or_more() -> None:
    for length in (0, 31, 33):
        with pytest.raises(ValueError, match="32 bytes"):
            Nonces(bytes(length))
    with pytest.raises(ValueError, match="lifetime"):
        Nonces(KEY, lifetime=timedelta(seconds=0.9))
    assert Nonces(KEY, lifetime=timedelta(seconds=1)).current(START)


def test_the_key_is_neither_shown_nor_pickled() -> None:
    assert KEY.hex() not in repr(NONCES)
    with pytest.raises(TypeError):
        pickle.dumps(NONCES)


@given(st.text())
def test_any_text_is_refused(text: str) -> None:
    refuses(text, START)
