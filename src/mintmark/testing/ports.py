"""Ports for processes that are about to be started."""

import secrets
import socket
from contextlib import ExitStack

__all__ = ["free_ports"]

# Below 32768, where Linux begins to give ports to outgoing connections (49152 elsewhere, RFC 6335
# §6). A port from there can be gone to any connection between this look and the server's start.
_FIRST, _END = 20_000, 32_000


def free_ports(count: int = 1) -> range:
    """So many ports in a row on which nobody listens on 127.0.0.1 at this moment.

    Raises:
        OSError: none were found in 200 tries.
    """
    for _ in range(200):
        first = _FIRST + secrets.randbelow(_END - _FIRST - count)
        ports = range(first, first + count)
        try:
            with ExitStack() as probes:
                for port in ports:
                    probes.enter_context(socket.socket()).bind(("127.0.0.1", port))
        except OSError:
            continue
        return ports
    raise OSError("no free ports")
