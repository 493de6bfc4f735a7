"""Answers that go wrong."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

__all__ = ["Fault", "send_fault"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One answer that goes wrong."""

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    drip: float = 0.0  # seconds between two octets of the body, which ends before it said it would


def send_fault(handler: BaseHTTPRequestHandler, fault: Fault) -> None:
    """Answer so, and hang up."""
    handler.close_connection = True
    handler.send_response_only(fault.status)
    for name, value in ({"content-type": "application/json"} | dict(fault.headers)).items():
        handler.send_header(name, value)
    length = len(fault.body) + (1_000_000 if fault.drip else 0)
    handler.send_header("content-length", str(length))
    with suppress(OSError):  # whoever asked has heard enough, which is as it should be
        handler.end_headers()
        for octets in _pieces(fault):
            handler.wfile.write(octets)
            time.sleep(fault.drip)


def _pieces(fault: Fault) -> list[bytes]:
    return [bytes([octet]) for octet in fault.body] if fault.drip else [fault.body]
