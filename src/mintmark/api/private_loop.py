"""An event loop of the guard's own, for threads that cannot await.

One in each process, made when it is first needed. A server that forks its workers after it has
loaded the application leaves them a loop without a thread; they make their own.
"""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from mintmark.forks import begin_again_after_fork

__all__ = ["LIMIT", "TooLong", "run"]

T = TypeVar("T")

LIMIT: Final = 15.0
"""Seconds until a thread is answered, whatever it waits for."""


class TooLong(Exception):
    """What was waited for did not end in time; it was called off."""


class _Private:
    def __init__(self) -> None:
        self.begin()
        begin_again_after_fork(self)

    def begin(self) -> None:
        # The lock as well: some other thread may have held it at the moment of the fork.
        self.lock = threading.Lock()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread: threading.Thread | None = None

    def started(self) -> asyncio.AbstractEventLoop:
        with self.lock:
            if self.loop is None:
                self.loop = asyncio.new_event_loop()
                self.thread = threading.Thread(
                    target=self.loop.run_forever, name="mintmark-gate", daemon=True
                )
                self.thread.start()
            return self.loop


_private: Final = _Private()


def run(waiting: Coroutine[Any, Any, T], limit: float = LIMIT) -> T:
    """Wait in this thread for something that runs in the loop.

    Raises:
        TooLong: after `limit` seconds.
    """
    loop = _private.started()
    if threading.current_thread() is _private.thread:
        waiting.close()
        # It would wait for itself. Rules are async: what they ask, they can await.
        raise RuntimeError("a rule cannot ask the gate without awaiting it")
    future = asyncio.run_coroutine_threadsafe(waiting, loop)
    try:
        return future.result(limit)
    except TimeoutError:
        if not future.cancel():
            return future.result()  # it ended, or raised this itself, while we gave up
        raise TooLong("the guard took too long") from None
