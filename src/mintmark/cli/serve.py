"""`mintmark serve`: a token server from `mintmark.toml`."""

import asyncio
import errno
import logging
import socket
from pathlib import Path

import uvicorn
import uvloop

from mintmark.app import Server, Settings, open_server
from mintmark.cli.failure import ExitStatus, Failure

__all__ = ["bind", "serve"]


def serve(config: Path, host: str, port: int) -> None:
    """Runs until it is told to stop; answers what it has begun, and writes what it has promised."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    settings = Settings.load(config)
    listening = bind(host, port)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(settings, config.resolve().parent, listening))
    finally:
        listening.close()


async def _run(settings: Settings, folder: Path, listening: socket.socket) -> None:
    server = await open_server(settings, folder)
    try:
        await uvicorn.Server(_uvicorn(server)).serve(sockets=[listening])
    finally:
        server.close()


def _uvicorn(server: Server) -> uvicorn.Config:
    return uvicorn.Config(
        server,
        # An access log would hold codes and states, which travel in queries.
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        lifespan="off",
        timeout_keep_alive=30,
        timeout_graceful_shutdown=10,
    )


def bind(host: str, port: int) -> socket.socket:
    """A listening address. Raises `Failure` when somebody else has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as failure:
        listening.close()
        if failure.errno == errno.EADDRINUSE:
            raise Failure(
                f"port {port} on {host} is taken", ExitStatus.PORT, "choose another with --port"
            ) from None
        raise Failure(
            f"cannot listen on {host}:{port}: {failure.strerror}", ExitStatus.PORT
        ) from None
    return listening
