"""`mintmark serve`: a token server from `mintmark.toml`."""

import asyncio
import errno
import logging
import socket
from pathlib import Path

import uvloop

from mintmark.app import Settings, open_server
from mintmark.app.serving import bind, quiet_uvicorn
from mintmark.cli.failure import ExitStatus, Failure, naming

__all__ = ["serve"]


def serve(config: Path, host: str, port: int) -> None:
    """Runs until it is told to stop; answers what it has begun, and writes what it has promised."""
    logging.getLogger().setLevel(logging.INFO)
    settings = Settings.load(config)
    listening = _bind(host, port)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, naming(config):
            runner.run(_run(settings, config.resolve().parent, listening))
    finally:
        listening.close()


async def _run(settings: Settings, folder: Path, listening: socket.socket) -> None:
    server = await open_server(settings, folder)
    tidying = asyncio.create_task(server.keep_tidy())
    try:
        await quiet_uvicorn(server, lifespan="off", grace=10).serve(sockets=[listening])
    finally:
        tidying.cancel()
        server.close()


def _bind(host: str, port: int) -> socket.socket:
    try:
        return bind(host, port)
    except OverflowError:
        raise Failure(f"port {port} is no port: 0 to 65535", ExitStatus.PORT) from None
    except OSError as failure:
        if failure.errno == errno.EADDRINUSE:
            raise Failure(
                f"port {port} on {host} is taken", ExitStatus.PORT, "choose another with --port"
            ) from None
        line = f"cannot listen on {host}:{port}: {failure.strerror}"
        raise Failure(line, ExitStatus.PORT) from None
