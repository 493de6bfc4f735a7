"""A forked worker, as some servers make them: does the application still answer there?"""

import asyncio
import os
import select
import signal
from typing import Final

from mintmark.testing.attacks.model import Request
from mintmark.testing.running import Runner

__all__ = ["status_in_child"]

PATIENCE: Final = 8.0


def status_in_child(runner: Runner, request: Request) -> int:
    """The status that a child process gets for this request; 0 if none comes."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _answer_and_end(runner, request, writing)
    os.close(writing)
    try:
        ready, _, _ = select.select([reading], [], [], PATIENCE)
        text = os.read(reading, 16) if ready else b""
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return int(text or b"0")


def _answer_and_end(runner: Runner, request: Request, writing: int) -> None:
    # Whatever happens, the child must not return into the parent's test run.
    try:
        loop = asyncio.new_event_loop()
        reply = loop.run_until_complete(asyncio.wait_for(runner.send(request), PATIENCE - 2))
        os.write(writing, str(reply.status).encode("ascii"))
    finally:
        os._exit(0)
