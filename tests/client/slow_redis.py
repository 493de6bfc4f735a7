"""Stands between a store and Redis, and holds back what Redis says."""

import socket
import threading
import time
from contextlib import suppress
from typing import Self, final

__all__ = ["SlowRedis"]


@final
class SlowRedis:
    """A proxy on loopback; `seconds` may be changed at any time."""

    def __init__(self, redis_url: str) -> None:
        self._far = int(redis_url.rpartition(":")[2].partition("/")[0])
        self.seconds = 0.0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listening.getsockname()[1]}/0"
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in [self._listening, *self._sockets]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._far))
                self._sockets += [near, far]
                for pair in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, reader: socket.socket, writer: socket.socket, back: bool) -> None:
        with suppress(OSError):
            while octets := reader.recv(65536):
                if back:
                    time.sleep(self.seconds)
                writer.sendall(octets)
        with suppress(OSError):
            writer.shutdown(socket.SHUT_RDWR)
