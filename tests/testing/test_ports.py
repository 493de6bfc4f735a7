"""Ports for processes that are about to be started (RFC 6335 §6 says which ones are given away)."""

import secrets
import socket

import pytest

from mintmark.testing import ports
from mintmark.testing.ports import free_ports

FIRST = ports._FIRST


def test_they_follow_each_other_below_those_that_outgoing_connections_get() -> None:
    found = free_ports(4)

    assert list(found) == list(range(found[0], found[0] + 4))
    assert found[0] >= 20_000
    assert found[-1] < 32_768


def test_a_port_with_a_listener_is_not_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    first = free_ports(3)[0]
    chosen = iter([first, first + 1])
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", first))
        listening.listen()
        monkeypatch.setattr(secrets, "randbelow", lambda _: next(chosen) - FIRST)

        assert free_ports(2)[0] == first + 1


def test_without_any_it_says_so_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = free_ports()[0]
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", taken))
        listening.listen()
        monkeypatch.setattr(secrets, "randbelow", lambda _: taken - FIRST)

        with pytest.raises(OSError, match="no free ports"):
            free_ports()
