"""Our own gate, built in every way that the attack list wants it."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
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
from mintmark.api.certificate import CertificateForm, ClientCertificate
from mintmark.api.client_proof import ClientSecretBasic
from mintmark.api.dpop import DPoP
from mintmark.api.opaque_issuer import OpaqueIssuer
from mintmark.api.policy import actor, detail, hide_as_404, login, role
from mintmark.api.proxy import TrustedProxy
from mintmark.api.replay import Claim, ReplayStoreUnavailable
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority
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
    Route.STREAM: AUTHENTICATED,
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


API_SECRET = ClientSecretBasic("this-api", Secret("a secret for introspection"))
PROXY = "127.0.0.1"


class _StoreDown:
    async def claim(self, digest: bytes, *, jkt: str, now: float, ttl: float, quota: int) -> Claim:
        raise ReplayStoreUnavailable("down")


def _trusted(world: World, one: FakeAuthority, **changes: Any) -> TrustedIssuer:
    return TrustedIssuer(
        issuer=one.issuer, audience=world.mint.audience, policy=one.policy, **changes
    )


def _settings(world: World) -> dict[str, Any] | None:
    """What the gate of this world is made with, or None for what there is not."""
    ours = [_trusted(world, world.issuer, encryption="forbid")]
    match world.setting:
        case Setting.PLAIN:
            return {"issuers": ours}
        case Setting.TWO_ISSUERS:
            return {"issuers": [*ours, _trusted(world, world.partner)]}
        case Setting.MAX_LIFETIME:
            return {"issuers": [_trusted(world, world.issuer, max_lifetime=timedelta(hours=1))]}
        case Setting.TENANTS:
            return {"resolve_issuer": _tenants(world)}
        case Setting.ENCRYPTED:
            both = [_trusted(world, world.issuer, encryption="accept")]
            return {"issuers": both, "decrypt_with": world.decryption_keys}
        case Setting.ENCRYPTED_ONLY:
            alone = [_trusted(world, world.issuer, encryption="require")]
            return {"issuers": alone, "decrypt_with": world.decryption_keys}
        case Setting.DPOP:
            return {"issuers": ours, "dpop": DPoP(nonce="never")}
        case Setting.DPOP_NONCE:
            return {"issuers": ours, "dpop": DPoP(nonce="always")}
        case Setting.DPOP_STORE_DOWN:
            return {"issuers": ours, "dpop": DPoP(nonce="never", replay=_StoreDown())}
        case _:
            return _further_settings(world, ours)


def _further_settings(world: World, ours: list[TrustedIssuer]) -> dict[str, Any] | None:
    opaque = OpaqueIssuer(
        issuer=world.issuer.issuer,
        audience=world.mint.audience,
        client_proof=API_SECRET,
        policy=world.issuer.policy,
        signed="require" if world.setting is Setting.OPAQUE_SIGNED else "forbid",
    )
    match world.setting:
        case Setting.OPAQUE:
            return {"opaque": opaque}
        case Setting.OPAQUE_SIGNED:
            world.issuer.introspection.signed = True
            world.issuer.introspection.recipient = API_SECRET.client_id
            return {"opaque": opaque}
        case Setting.MTLS:
            shown = ClientCertificate.from_header("Client-Cert", CertificateForm.CLIENT_CERT)
            proxy = TrustedProxy([PROXY], origin=world.mint.audience)
            return {"issuers": ours, "client_certificate": shown, "origin": proxy, "dpop": DPoP()}
        case Setting.MTLS_BY_TLS:
            return {"issuers": ours, "client_certificate": ClientCertificate.from_tls()}
    return None


def _tenants(world: World) -> Any:
    async def resolve(iss: str, scope: Mapping[str, Any]) -> TrustedIssuer | None:
        host = dict(scope["headers"]).get(b"host")
        tenant = world.partner if host == b"partner.example" else world.issuer
        return _trusted(world, tenant) if tenant.issuer == iss else None

    return resolve


def _gate(world: World) -> Gate | None:
    settings = _settings(world)
    if settings is None:
        return None
    return Gate(world.mint.audience, clock=world.clock, **settings)


async def _serve_socket(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    if scope["path"].endswith(Route.STREAM):
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    await send({"type": "websocket.close", "code": 1000})


def plain_asgi(world: World) -> App | None:
    gate = _gate(world)
    if gate is None:
        return None

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await _serve_socket(scope, receive, send)
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
        if route not in {Route.WEBSOCKET, Route.STREAM}:
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

    @app.websocket(f"/{Route.STREAM}")
    async def stream(
        websocket: WebSocket, caller: Annotated[Caller, gate.requires(AUTHENTICATED)]
    ) -> None:
        await websocket.accept()
        with suppress(WebSocketDisconnect):
            await websocket.receive_text()

    return App(app=app, routes=ROUTES, close=gate.close)


def _who_over_wsgi(environ: Any, start_response: Any) -> Iterable[bytes]:
    caller: Caller | None = environ.get("mintmark.caller")
    start_response("200 OK", [("content-type", "text/plain")])
    return [f"{caller.kind} {caller.subject}".encode() if caller else b"nobody"]


def wsgi(world: World) -> App | None:
    gate = _gate(world)
    if gate is None or world.setting is Setting.MTLS_BY_TLS:
        return None
    rules = {f"/{route}": policy for route, policy in POLICIES.items()}
    # There are no WebSockets here.
    routes = {route: path for route, path in ROUTES.items() if route not in ONLY_ASGI}
    app = gate.wrap_wsgi(_who_over_wsgi, rules)
    return App(app=app, wsgi=True, routes=routes, close=gate.close)


ONLY_ASGI = {Route.WEBSOCKET, Route.STREAM}
TARGETS = {
    "asgi": Target(build=plain_asgi, moves_clock=True, cache_size=500),
    "fastapi": Target(build=fastapi, moves_clock=True, cache_size=500),
    "wsgi": Target(build=wsgi, moves_clock=True, cache_size=500),
}
