"""One API in every form that `bench.api_guard` measures: open, behind the gate, and behind others.

Each peer is set up as its own guide does it, its keys at hand before the first request. Usage:
python -m bench.api_servers NAME PORT ISSUER AUDIENCE
"""

import json
import sys
from collections.abc import Callable
from typing import Annotated, Any, Final
from urllib.request import urlopen

import jwt
import uvicorn
from authlib.oauth2.rfc6750.errors import (  # type: ignore[import-untyped]  # -- it has no types
    InsufficientScopeError,
    InvalidTokenError,
)
from authlib.oauth2.rfc9068 import (  # type: ignore[import-untyped]  # -- it has no types
    JWTBearerTokenValidator,
)
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from jwt import PyJWKClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mintmark.api import Caller, Gate, scope
from mintmark.api.asgi import App, Receive, Scope, Send

__all__ = ["ORDER", "SERVERS"]

READ: Final = "orders.read"
ALGORITHMS: Final = ["RS256", "ES256"]

ORDER: Final = {
    "id": "0b5f6c1e-8d0e-4c55-9a86-2f0d7d1f5c11",
    "customer": "4f3c5b1e-6a1d-4a7e-9f8b-7f1f0d2a1c11",
    "state": "shipped",
    "currency": "EUR",
    "total": 12990,
    "lines": [
        {"article": "A-1001", "quantity": 2, "price": 4495},
        {"article": "A-2040", "quantity": 1, "price": 4000},
    ],
}
"""What every one of them answers with."""

BODY: Final = json.dumps(ORDER, separators=(",", ":")).encode()
HEADERS: Final = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(BODY)).encode()),
]


def gate(issuer: str, audience: str) -> Gate:
    return Gate(audience, issuer=issuer, insecure_allow_http_on_loopback=True)


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    """The least an application can do: what the guard costs shows most here."""
    if scope["type"] == "lifespan":
        for step in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{step}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


def asgi_open(_issuer: str, _audience: str) -> App:
    return plain


def asgi_guarded(issuer: str, audience: str) -> App:
    return gate(issuer, audience).wrap(plain, {"/orders": scope(READ)})


def starlette() -> App:
    async def orders(_: Request) -> JSONResponse:
        return JSONResponse(ORDER)

    return Starlette(routes=[Route("/orders", orders)])


def starlette_open(_issuer: str, _audience: str) -> App:
    return starlette()


def starlette_guarded(issuer: str, audience: str) -> App:
    return gate(issuer, audience).wrap(starlette(), {"/orders": scope(READ)})


def fastapi_open(_issuer: str, _audience: str) -> App:
    app = FastAPI()

    @app.get("/orders")
    async def orders() -> Any:
        return ORDER

    return app


def fastapi_guarded(issuer: str, audience: str) -> App:
    guard = gate(issuer, audience)
    app = guard.install(FastAPI())

    @app.get("/orders")
    async def orders(_: Annotated[Caller, guard.requires(scope(READ))]) -> Any:
        return ORDER

    return app


def fastapi_pyjwt(issuer: str, audience: str) -> App:
    client = PyJWKClient(f"{issuer}/jwks", lifespan=3600)
    client.get_jwk_set()
    bearer = HTTPBearer()

    async def claims(
        credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)],
    ) -> dict[str, Any]:
        token = credentials.credentials
        try:
            key = client.get_signing_key_from_jwt(token)
            read: dict[str, Any] = jwt.decode(
                token, key.key, algorithms=ALGORITHMS, audience=audience, issuer=issuer
            )
        except jwt.PyJWTError:
            raise HTTPException(401) from None
        if READ not in read.get("scope", "").split():
            raise HTTPException(403)
        return read

    return fastapi_with(claims)


class Validator(JWTBearerTokenValidator):  # type: ignore[misc]  # -- Authlib has no types
    """Authlib's own, with the key set read once: its documentation's dictionary is read each time."""

    def __init__(self, issuer: str, audience: str) -> None:
        super().__init__(issuer=issuer, resource_server=audience)
        self._keys = published(issuer)

    def get_jwks(self) -> KeySet:
        return self._keys


def fastapi_authlib(issuer: str, audience: str) -> App:
    validator = Validator(issuer, audience)
    bearer = HTTPBearer()

    async def claims(
        credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)],
    ) -> dict[str, Any]:
        try:
            read = validator.authenticate_token(credentials.credentials)
            validator.validate_token(read, [READ], None)
        except InvalidTokenError:
            raise HTTPException(401) from None
        except InsufficientScopeError:
            raise HTTPException(403) from None
        return dict(read)

    return fastapi_with(claims)


def fastapi_with(dependency: Callable[..., Any]) -> App:
    app = FastAPI()

    @app.get("/orders")
    async def orders(_: Annotated[dict[str, Any], Depends(dependency)]) -> Any:
        return ORDER

    return app


def starlette_joserfc(issuer: str, audience: str) -> App:
    keys = published(issuer)
    registry = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
    )

    async def orders(request: Request) -> JSONResponse:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return JSONResponse({"error": "invalid_request"}, 401)
        try:
            read = joserfc_jwt.decode(token, keys, algorithms=ALGORITHMS)
            registry.validate(read.claims)
        except (JoseError, ValueError):
            return JSONResponse({"error": "invalid_token"}, 401)
        if READ not in read.claims.get("scope", "").split():
            return JSONResponse({"error": "insufficient_scope"}, 403)
        return JSONResponse(ORDER)

    return Starlette(routes=[Route("/orders", orders)])


def published(issuer: str) -> KeySet:
    with urlopen(f"{issuer}/jwks", timeout=5) as answer:  # noqa: S310 -- our own, on loopback
        return KeySet.import_key_set(json.load(answer))


SERVERS: Final[dict[str, Callable[[str, str], App]]] = {
    "ASGI, open": asgi_open,
    "ASGI, guarded": asgi_guarded,
    "Starlette, open": starlette_open,
    "Starlette, guarded": starlette_guarded,
    "FastAPI, open": fastapi_open,
    "FastAPI, guarded": fastapi_guarded,
    "FastAPI + PyJWKClient": fastapi_pyjwt,
    "FastAPI + Authlib": fastapi_authlib,
    "Starlette + joserfc": starlette_joserfc,
}


def main() -> None:
    name, port, issuer, audience = sys.argv[1:]
    uvicorn.run(
        SERVERS[name](issuer, audience),
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
