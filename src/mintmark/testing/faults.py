"""Answers that go wrong."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from typing import Self

import msgspec

__all__ = ["Fault", "send_fault"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One answer that goes wrong.

    Attributes:
        drip: seconds between two octets of the body, which ends before it said it would.
        delay: seconds before anything is sent.
        cut: so many octets of the body are sent, and then the connection is closed.
        unheard: the connection is closed and nothing is sent.
        carried_out: the request is carried out as ever and its own answer goes wrong; status, body
            and headers above are not used.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    drip: float = 0.0
    delay: float = 0.0
    cut: int | None = None
    unheard: bool = False
    carried_out: bool = False

    def __post_init__(self) -> None:
        if self.cut is not None and self.cut < 0:
            raise ValueError("cut is a number of octets")
        if self.drip < 0 or self.delay < 0:
            raise ValueError("drip and delay are seconds from now on")

    @classmethod
    def refusal(cls, error: str, *, status: int = 400) -> Self:
        """A refusal in the protocol's own words, such as `invalid_grant`."""
        return cls(status=status, body=msgspec.json.encode({"error": error}))

    @classmethod
    def busy(cls, *, retry_after: int | str | None = None) -> Self:
        """429: too many requests, and when to come back (seconds, or a date as text)."""
        return cls(status=429, headers=_retry_after(retry_after))

    @classmethod
    def unavailable(cls, *, retry_after: int | str | None = None) -> Self:
        """503: down for the moment, and when to come back (seconds, or a date as text)."""
        return cls(status=503, headers=_retry_after(retry_after))

    @classmethod
    def garbage(cls) -> Self:
        """200 and a page of a proxy on the way, which calls itself JSON."""
        return cls(body=b"<html><body>Please sign in to the network</body></html>\xff\x00")

    @classmethod
    def slow(cls, seconds: float) -> Self:
        """The true answer, late."""
        return cls(delay=seconds, carried_out=True)

    @classmethod
    def truncated(cls, octets: int = 20) -> Self:
        """The true answer, and the connection is closed in its middle."""
        return cls(cut=octets, carried_out=True)

    @classmethod
    def lost(cls) -> Self:
        """The request is carried out, and nobody ever hears of it."""
        return cls(unheard=True, carried_out=True)

    def with_answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> Self:
        """This fault, happening to a true answer."""
        return replace(self, status=status, body=body, headers=headers)


def send_fault(handler: BaseHTTPRequestHandler, fault: Fault) -> None:
    """Answer so, and hang up."""
    handler.close_connection = True
    time.sleep(fault.delay)
    if fault.unheard:
        return
    handler.send_response_only(fault.status)
    for name, value in ({"content-type": "application/json"} | dict(fault.headers)).items():
        handler.send_header(name, value)
    length = len(fault.body) + (1_000_000 if fault.drip else 0)
    if fault.cut is not None:
        # One more than ever comes: also a body that was cut behind its last octet is incomplete.
        length = max(length, fault.cut + 1)
    handler.send_header("content-length", str(length))
    # Unsaid, whoever asked would now and then send the next request into the closed connection.
    handler.send_header("connection", "close")
    with suppress(OSError):  # whoever asked has heard enough, which is as it should be
        handler.end_headers()
        for octets in _pieces(fault):
            handler.wfile.write(octets)
            time.sleep(fault.drip)


def _pieces(fault: Fault) -> list[bytes]:
    body = fault.body[: fault.cut]
    return [bytes([octet]) for octet in body] if fault.drip else [body]


def _retry_after(value: int | str | None) -> dict[str, str]:
    return {} if value is None else {"retry-after": str(value)}
