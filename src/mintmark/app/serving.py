"""An ASGI application on a socket: how every server of ours listens."""

import logging
import socket
from typing import Any, Literal

import uvicorn

__all__ = ["bind", "quiet_uvicorn"]


def bind(host: str, port: int) -> socket.socket:
    """A socket at this address. Raises `OSError`, for example when somebody else has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except BaseException:
        listening.close()
        raise
    return listening


def quiet_uvicorn(app: Any, *, lifespan: Literal["auto", "off"], grace: int) -> uvicorn.Server:
    """A uvicorn server that writes no access log, whatever handlers somebody attaches.

    Such a log would hold codes and states, which travel in queries.

    Args:
        grace: seconds that requests under way get when it is told to stop.
    """
    logging.getLogger("uvicorn.access").disabled = True
    return uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            lifespan=lifespan,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=grace,
        )
    )
