"""Our own gate, built in every way that the attack list wants it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from fastapi import FastAPI, WebSocket
from tests.api.conftest import who

from mintmark.api import (
    AUTHENTICATED,
    Caller,
    CallerKind,
    Gate,
    Policy,
    TrustedIssuer,
    kind,
    rule,
    scope,
)
from mintmark.api.policy import actor, detail, hide_as_404, login, role
from mintmark.testing.attacks.model import Route, Setting
from mintmark.testing.target import App, Target, World


async def _fails(caller: Caller) -> bool:
    raise RuntimeError("a rule of somebody's")


async def _is_owner(caller: Caller) -> bool:
    return caller.subject == "owner"


def _is_small(detail: Mapping[str, Any]) -> bool:
    return bool(detail["amount"] <= 500)


PHR = login(acr="phr", within=timedelta(minutes=5))
POLICIES: dict[Route, Policy] = {
    Route.ANY: AUTHENTICATED,
    Route.WEBSOCKET: AUTHENTICATED,
    Route.SCOPED: scope("orders.read orders.write"),
    Route.DELEGATED: kind(CallerKind.DELEGATED),
    Route.ROLE: scope("orders.read") & role("support"),
    Route.STEP_UP: PHR,
    Route.SCOPE_AND_STEP_UP: scope("orders.write") & PHR,
    Route.RAISING: rule("fails", _fails),
    Route.SECRET: rule("owner", _is_owner),
    Route.HIDDEN: hide_as_404(rule("owner", _is_owner)),
    Route.DETAILS: detail("payment", _is_small),
    Route.ACTOR: actor("helper", depth=1),
}
ROUTES = {route: f"/{route}" for route in (*POLICIES, Route.UNRULED)}
AT_ONCE = {"GET", "POST", "HEAD", "TRACE"}


def _gate(world: World) -> Gate | None:
    issuers = [world.issuer]
    if world.setting is Setting.TWO_ISSUERS:
        issuers.append(world.partner)
    elif world.setting not in {Setting.PLAIN, Setting.MAX_LIFETIME}:
        return None
    longest = timedelta(hours=1) if world.setting is Setting.MAX_LIFETIME else None
    trusted = [
        TrustedIssuer(
            issuer=one.issuer,
            audience=world.mint.audience,
            policy=one.policy,
            max_lifetime=longest,
        )
        for one in issuers
    ]
    return Gate(world.mint.audience, issuers=trusted, clock=world.clock)


def plain_asgi(world: World) -> App | None:
    gate = _gate(world)
    if gate is None:
        return None

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": 1000})
            return
        await who(scope, receive, send)

    rules = {f"/{route}": policy for route, policy in POLICIES.items()}
    return App(app=gate.wrap(app, rules), routes=ROUTES, close=gate.close)


def fastapi(world: World) -> App | None:
    gate = _gate(world)
    if gate is None:
        return None
    app = gate.install(FastAPI())

    def add(route: Route, policy: Policy) -> None:
        async def handler(caller: Annotated[Caller, gate.requires(policy)]) -> str:
            return caller.subject

        app.add_api_route(f"/{route}", handler, methods=sorted(AT_ONCE))

    for route, policy in POLICIES.items():
        if route is not Route.WEBSOCKET:
            add(route, policy)

    @app.get(f"/{Route.UNRULED}")
    async def unruled() -> str:
        return "nobody said who may see this"

    @app.websocket(f"/{Route.WEBSOCKET}")
    async def socket(
        websocket: WebSocket, caller: Annotated[Caller, gate.requires(AUTHENTICATED)]
    ) -> None:
        await websocket.accept()
        await websocket.close()

    return App(app=app, routes=ROUTES, close=gate.close)


TARGETS = {
    "asgi": Target(build=plain_asgi, moves_clock=True, cache_size=500),
    "fastapi": Target(build=fastapi, moves_clock=True, cache_size=500),
}
