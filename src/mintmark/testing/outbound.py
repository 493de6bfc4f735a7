"""A watch over outgoing connections: none may go where a token points."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["Outbound", "watch_outbound"]

_LOCAL_FAMILIES: Final = frozenset({getattr(socket, "AF_UNIX", socket.AF_INET)})


class Outbound:
    """Where somebody tried to connect to, or whose name they looked up, without leave."""

    def __init__(self, allowed: Callable[[str, int], object]) -> None:
        self.attempts: list[str] = []
        self._allowed = allowed

    def require_allowed(self, host: object, port: object) -> None:
        """Raises `ConnectionRefusedError`, as a closed port would, and remembers."""
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        number = int(port) if isinstance(port, int | str) and str(port).isdigit() else 0
        if not self._allowed(name, number):
            self.attempts.append(f"{name}:{number}")
            raise ConnectionRefusedError("not while an attack is played")


@contextmanager
def watch_outbound(allowed: Callable[[str, int], object]) -> Iterator[Outbound]:
    """For as long as the block lasts, only `allowed(host, port)` is connected to.

    It covers every connection that Python's own `socket` makes in this process, asyncio's among
    them.
    """
    watch = Outbound(allowed)
    connect, connect_ex, look_up = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def guarded(original: Callable[[socket.socket, Any], Any]) -> Callable[..., Any]:
        def connecting(self: socket.socket, address: Any) -> Any:
            if self.family not in _LOCAL_FAMILIES or isinstance(address, tuple):
                watch.require_allowed(address[0], address[1])
            return original(self, address)

        return connecting

    def looking_up(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None:
            watch.require_allowed(host, port)
        return look_up(host, port, *args, **kwargs)

    socket.socket.connect = guarded(connect)  # type: ignore[method-assign]  # -- put back below
    socket.socket.connect_ex = guarded(connect_ex)  # type: ignore[method-assign]  # -- the same
    socket.getaddrinfo = looking_up
    try:
        yield watch
    finally:
        socket.socket.connect = connect  # type: ignore[method-assign]  # -- as it was
        socket.socket.connect_ex = connect_ex  # type: ignore[method-assign]  # -- as it was
        socket.getaddrinfo = look_up
