"""Other people's ways to protect an API, built as their own guides say, for `bench.attack_list`."""

import importlib
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Final
from urllib.request import urlopen

import jwt
from authlib.oauth2.rfc6750.errors import (  # type: ignore[import-untyped]  # -- it has no types
    InsufficientScopeError,
    InvalidTokenError,
)
from authlib.oauth2.rfc9068 import (  # type: ignore[import-untyped]  # -- it has no types
    JWTBearerTokenValidator,
)
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from jwt import PyJWKClient
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route as Path

from mintmark.jose.algorithms import Algorithm
from mintmark.testing.attacks.model import Route, Setting
from mintmark.testing.target import App, Target, World

__all__ = ["PEERS", "Peer"]

METHODS: Final = ["GET", "POST", "HEAD", "TRACE"]
BEARER: Final = HTTPBearer()

Bearer = Annotated[HTTPAuthorizationCredentials, Depends(BEARER)]
Check = Callable[[HTTPAuthorizationCredentials], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One of them. `beyond` are the entries about something it does not set out to do."""

    name: str
    package: str
    setup: str
    build: Callable[[World], App | None] = field(repr=False)
    beyond: frozenset[str]

    @property
    def target(self) -> Target:
        return Target(build=self.build, lenient=True, cache_size=500)

    @property
    def version(self) -> str | None:
        """None where it is not installed."""
        try:
            return version(self.package)
        except PackageNotFoundError:
            return None


def _fastapi(checks: Mapping[Route, Check]) -> App:
    """An application whose routes each depend on one of these."""
    app = FastAPI()

    def add(route: Route, check: Check) -> None:
        async def handler(_: Annotated[Mapping[str, Any], Depends(check)]) -> str:
            return "come in"

        app.add_api_route(f"/{route}", handler, methods=METHODS)

    for route, check in checks.items():
        add(route, check)
    return App(app=app, routes={route: f"/{route}" for route in checks})


def pyjwt(world: World) -> App | None:
    if world.setting is not Setting.PLAIN:
        return None
    issuer, audience = world.issuer.issuer, world.mint.audience
    algorithms = sorted({"RS256", "ES256", world.issuer.key.algorithm.value})
    client = PyJWKClient(f"{issuer}/jwks")

    async def check(credentials: Bearer) -> Mapping[str, Any]:
        token = credentials.credentials
        try:
            key = client.get_signing_key_from_jwt(token)
            read: Mapping[str, Any] = jwt.decode(
                token, key, algorithms=algorithms, audience=audience, issuer=issuer
            )
        except jwt.PyJWTError:
            raise HTTPException(401) from None
        return read

    return _fastapi({Route.ANY: check})


class _Validator(JWTBearerTokenValidator):  # type: ignore[misc]  # -- Authlib has no types
    """With the one method that its documentation asks for: fetch the keys, and keep them."""

    def __init__(self, issuer: str, audience: str) -> None:
        super().__init__(issuer=issuer, resource_server=audience)
        self._kept: Any = None

    def get_jwks(self) -> Any:
        if self._kept is None:
            with urlopen(f"{self.issuer}/jwks", timeout=5) as answer:  # noqa: S310 -- our own
                self._kept = json.load(answer)
        return self._kept


# Those that its library takes unless told otherwise; the validator has no setting for them.
_AUTHLIBS: Final = frozenset({Algorithm.RS256, Algorithm.ES256})


def authlib(world: World) -> App | None:
    if world.setting is not Setting.PLAIN or world.issuer.key.algorithm not in _AUTHLIBS:
        return None
    validator = _Validator(world.issuer.issuer, world.mint.audience)

    def checking(scopes: list[str], roles: list[str] | None = None) -> Check:
        async def check(credentials: Bearer) -> Mapping[str, Any]:
            try:
                read = validator.authenticate_token(credentials.credentials)
                validator.validate_token(read, scopes, None, roles=roles)
            except InvalidTokenError:
                raise HTTPException(401) from None
            except InsufficientScopeError:
                raise HTTPException(403) from None
            return dict(read)

        return check

    return _fastapi(
        {
            Route.ANY: checking([]),
            Route.SCOPED: checking(["orders.read orders.write"]),
            Route.ROLE: checking(["orders.read"], ["support"]),
        }
    )


def fastmcp(world: World) -> App | None:
    """Its verifier behind its own middleware, which is what its HTTP server puts around a tool."""
    if world.setting is not Setting.PLAIN:
        return None
    # It is not in our lock file. It reads this when it is imported, and would fill the screen.
    os.environ.setdefault("FASTMCP_LOG_ENABLED", "false")
    auth = importlib.import_module("fastmcp.server.auth.providers.jwt")
    guarding = importlib.import_module("fastmcp.server.auth.middleware").RequireAuthMiddleware
    verifier = auth.JWTVerifier(
        jwks_uri=f"{world.issuer.issuer}/jwks",
        issuer=world.issuer.issuer,
        audience=world.mint.audience,
        algorithm=world.issuer.key.algorithm.value,
    )

    async def come_in(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse("come in")(scope, receive, send)

    scopes = {Route.ANY: [], Route.SCOPED: ["orders.read", "orders.write"]}
    paths = [
        Path(f"/{route}", guarding(come_in, wanted), methods=METHODS)
        for route, wanted in scopes.items()
    ]
    app = Starlette(routes=paths, middleware=verifier.get_middleware())
    return App(app=app, routes={route: f"/{route}" for route in scopes})


# None of the three sets out to look at bindings (F17, F18), at the issuer's metadata (D19, D20), at
# the form of a scope that a route does not ask for (F13, F14), or at `azp` (F19); and how much a
# clock is forgiven (G1) is a choice: no leeway at all is the stricter one.
_NOBODYS: Final = frozenset({"D19", "D20", "F13", "F14", "F17", "F18", "F19", "G1"})

PEERS: Final = (
    Peer(
        name="FastAPI + PyJWT",
        package="pyjwt",
        setup="`HTTPBearer`, a `PyJWKClient` with its defaults, and `jwt.decode` with the key it "
        "finds, algorithms, audience and issuer, as in PyJWT's own usage examples. Every "
        "`PyJWTError` is a 401. What a scope is, PyJWT leaves to the application.",
        build=pyjwt,
        # It finds keys by their name alone, so that a token has to carry one.
        beyond=_NOBODYS | {"D5", "D8"},
    ),
    Peer(
        name="FastAPI + Authlib",
        package="authlib",
        setup="`HTTPBearer` and the validator for RFC 9068, whose `get_jwks` fetches the keys once "
        "and keeps them, as in Authlib's own documentation. Its two errors are a 401 and a 403. "
        "How keys are fetched, Authlib leaves to the application.",
        build=authlib,
        # An issuer that cannot be reached is the application's affair (D14 to D17, N5). In C8 and
        # D5 it refuses odd but honest tokens: stricter than the list, and nothing gets through.
        beyond=_NOBODYS | {"C8", "D5", "D14", "D15", "D16", "D17", "N5"},
    ),
    Peer(
        name="fastmcp",
        package="fastmcp",
        setup="`JWTVerifier` with the keys' address, issuer, audience and algorithm, behind the "
        "middleware that fastmcp's HTTP server puts around its tools.",
        build=fastmcp,
        # D8 asks for keys of two algorithms, and it takes one; C8 as above.
        beyond=_NOBODYS | {"C8", "D8"},
    ),
)
