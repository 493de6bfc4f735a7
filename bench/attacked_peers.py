"""Other people's ways to protect an API, built as their own guides say, for `bench.attack_list`."""

import importlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
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
from joserfc.jwk import KeySet
from jwt import PyJWKClient
from starlette.applications import Starlette
from starlette.requests import Request
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
    def title(self) -> str:
        return f"{self.name} {version(self.package)}"

    @property
    def is_here(self) -> bool:
        return find_spec(self.package) is not None


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


# Tokens that are bound to a key or a certificate, the issuer's metadata: none of the three sets
# out to look at either.
_BOUND_OR_METADATA: Final = frozenset({"F17", "F18", "D19", "D20"})

PEERS: Final = (
    Peer(
        name="FastAPI + PyJWT",
        package="pyjwt",
        setup="`HTTPBearer`, `PyJWKClient` with its defaults and `jwt.decode` with algorithms, "
        "audience and issuer, as in its usage examples; every `PyJWTError` is a 401",
        build=pyjwt,
        # What a scope or a client is, is the application's affair.
        beyond=_BOUND_OR_METADATA | {"F13", "F14", "F19"},
    ),
    Peer(
        name="FastAPI + Authlib",
        package="authlib",
        setup="`HTTPBearer` and the RFC 9068 validator; `get_jwks` fetches the keys once and keeps "
        "them, as in its documentation; its two errors are a 401 and a 403",
        build=authlib,
        # Fetching keys is its user's affair, and so is an issuer that cannot be reached.
        beyond=_BOUND_OR_METADATA | {"D14", "D15", "D16", "D17", "N5"},
    ),
    Peer(
        name="fastmcp",
        package="fastmcp",
        setup="`JWTVerifier` with the key address, issuer, audience and algorithm, behind fastmcp's "
        "own authentication middleware on Starlette",
        build=fastmcp,
        # It takes one algorithm, and this one asks for keys of two.
        beyond=_BOUND_OR_METADATA | {"D8"},
    ),
)
