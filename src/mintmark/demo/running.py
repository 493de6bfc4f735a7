"""Starting all parts, and stopping them."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import uvicorn

from mintmark.api import Gate
from mintmark.app import Server, open_server
from mintmark.app.serving import bind, quiet_uvicorn
from mintmark.client import Authority, Client, UserTokens
from mintmark.demo.api import make_api, make_api_client
from mintmark.demo.downstream import make_downstream
from mintmark.demo.parts import USER_SCOPE, Addresses, Demo
from mintmark.demo.web import make_web
from mintmark.events import Event, Events, LogEvents
from mintmark.fetch import FetchPolicy
from mintmark.jose.keys import SigningKey
from mintmark.secret import Secret
from mintmark.server.events import TokenIssued
from mintmark.server.sealing import Sealer
from mintmark.storage.sql.web_sessions import SqliteSessions
from mintmark.testing.ports import free_ports
from mintmark.webapp import Vault, WebLogin

__all__ = ["PortTaken", "Running", "free_addresses", "in_background", "run"]


class PortTaken(Exception):
    """Somebody else listens there."""

    def __init__(self, part: str, port: int) -> None:
        super().__init__(f"port {port} is taken, which the demo wants for its {part}")
        self.port = port


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of a running demo, for whoever looks into it."""

    demo: Demo
    server: Server
    clients: dict[str, Client]
    sessions: SqliteSessions
    api_gate: Gate

    @property
    def signing_key(self) -> SigningKey:
        """The server's own key: only with it can a token be wrong in one point alone."""
        return self.server.keys.current()

    def stored_tokens(self, cookie: str) -> UserTokens | None:
        """What the web application keeps for a session, opened."""
        return self.sessions.load(Secret(cookie))


class _Counting:
    """Counts tokens by client on their way to the log, for the picture and for the checks."""

    def __init__(self, demo: Demo, inner: Events) -> None:
        self._demo = demo
        self._inner = inner

    def emit(self, event: Event) -> None:
        if isinstance(event, TokenIssued):
            self._demo.traffic.count(f"{event.client_id}-server")
            self._demo.traffic.count(f"issued {event.client_id} {event.grant_type}")
        self._inner.emit(event)


async def run(demo: Demo, started: "asyncio.Future[Running] | None", stop: asyncio.Event) -> None:
    """Run every part until `stop` is set.

    Raises:
        PortTaken: before anything is started.
    """
    addresses = demo.addresses
    async with AsyncExitStack() as stack:
        sockets = {
            part: stack.enter_context(closing(_bind(part, getattr(addresses, part))))
            for part in ("web", "api", "server", "downstream")
        }
        server = await open_server(
            demo.settings(),
            demo.folder,
            environment=demo.environment,
            events=_Counting(demo, LogEvents()),
        )
        stack.callback(server.close)
        web_client, api_client = _web_client(demo), make_api_client(demo)
        clients = {"web": web_client, "api": api_client}
        for client in clients.values():
            stack.callback(client.close)
        http = await stack.enter_async_context(httpx2.AsyncClient(trust_env=False, timeout=20))
        api, api_gate = make_api(demo, api_client, http)
        downstream, downstream_gate = make_downstream(demo)
        stack.callback(api_gate.close)
        stack.callback(downstream_gate.close)
        sessions = _sessions(demo)
        stack.callback(sessions.close)
        login = WebLogin(
            web_client,
            base_url=addresses.url("web"),
            sessions=sessions,
            vault=_vault(demo),
            scope=USER_SCOPE,
            resource=addresses.url("api"),
        )
        web = make_web(demo, login, clients, http)
        parts = {"server": server, "downstream": downstream, "api": api, "web": web}
        running, tasks = [], []
        # The token server first: the others ask it for keys as they start.
        for part, app in parts.items():
            one = _server(app)
            running.append(one)
            tasks.append(asyncio.create_task(one.serve(sockets=[sockets[part]])))
            while not one.started and not tasks[-1].done():  # noqa: ASYNC110 -- uvicorn has no event
                await asyncio.sleep(0.01)
        if started is not None:
            started.set_result(Running(demo, server, clients, sessions, api_gate))
        await stop.wait()
        for one in running:
            one.should_exit = True
        await asyncio.gather(*tasks)


def _web_client(demo: Demo) -> Client:
    policy = FetchPolicy(insecure_allow_http_on_loopback=True)
    return Client(
        Authority(demo.addresses.url("server"), policy=policy),
        client_id="web",
        client_secret=Secret(demo.environment["WEB_SECRET"]),
    )


def _vault(demo: Demo) -> Vault:
    sealer = Sealer(demo.settings().read_master_key(demo.environment, demo.folder))
    return Vault(sealer.key("demo web sessions"))


def _sessions(demo: Demo) -> SqliteSessions:
    return SqliteSessions.open(demo.folder / "web.sqlite3", _vault(demo))


def _server(app: Any) -> uvicorn.Server:
    server = quiet_uvicorn(app, lifespan="auto", grace=3)
    # Ctrl-C is ours: it stops all four, in order.
    server.capture_signals = _no_signals  # type: ignore[method-assign]  # -- one handler for all
    return server


@contextmanager
def _no_signals() -> Iterator[None]:
    yield


def _bind(part: str, port: int) -> socket.socket:
    try:
        return bind("127.0.0.1", port)
    except OSError:
        raise PortTaken(part, port) from None


def free_addresses() -> Addresses:
    """Four ports that nobody uses at this moment."""
    return Addresses.from_base(free_ports(4)[0])


@contextmanager
def in_background(demo: Demo) -> Iterator[Running]:
    """Run the demo in a thread of its own for as long as the block lasts.

    Raises:
        PortTaken, or whatever keeps it from starting.
    """
    ready = threading.Event()
    box: dict[str, Any] = {}

    async def main() -> None:
        loop = asyncio.get_running_loop()
        box["loop"], box["stop"] = loop, asyncio.Event()
        started: asyncio.Future[Running] = loop.create_future()

        def announce(future: "asyncio.Future[Running]") -> None:
            box["running"] = future.result()
            ready.set()

        started.add_done_callback(announce)
        await run(demo, started, box["stop"])

    def thread() -> None:
        try:
            asyncio.run(main())
        except BaseException as failure:  # noqa: BLE001 -- handed to the thread that waits
            box["failure"] = failure
        finally:
            ready.set()

    worker = threading.Thread(target=thread, name="mintmark-demo")
    worker.start()
    ready.wait()
    if "failure" in box:
        worker.join()
        raise box["failure"]
    try:
        yield box["running"]
    finally:
        box["loop"].call_soon_threadsafe(box["stop"].set)
        worker.join()
    if "failure" in box:
        raise box["failure"]
