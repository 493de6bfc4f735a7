"""Scripts of other origins at an endpoint: those of public clients, and of nobody else."""

from typing import Final, final
from urllib.parse import urlsplit

from mintmark.protocol.client_authentication import ClientAuthenticationMethod
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.message import HeaderList, HttpRequest, HttpResponse
from mintmark.server.asgi import Endpoint
from mintmark.server.clients import Client, ClientRegistry

__all__ = ["CrossOrigin"]

_PORTS: Final = {"http": 80, "https": 443}
_VARY: Final = (b"vary", b"Origin")
_ALLOW: Final = (b"allow", b"OPTIONS, POST")
# No `authorization`: whoever has a secret does not run in a browser. Swagger UI sends the other.
_PREFLIGHT: Final[HeaderList] = (
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"content-type, dpop, x-requested-with"),
    (b"access-control-max-age", b"600"),
)


@final
class CrossOrigin:
    """Lets a public client in a browser read the answer of an endpoint (the Fetch standard's CORS).

    The origins are those of its registered redirect URIs: where its codes may go, its tokens may.
    Cookies are never part of it. It lets nobody in whom the endpoint would refuse.
    """

    def __init__(self, endpoint: Endpoint, clients: ClientRegistry) -> None:
        self._endpoint = endpoint
        self._origins = {
            client.client_id: _origins_of(client) for client in clients.clients.values()
        }
        self._all = frozenset[bytes]().union(*self._origins.values())

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        said = [value for name, value in request.headers if name == b"origin"]
        # Two of them are as good as none: a browser sends one.
        origin = said[0] if len(said) == 1 else b""
        if request.method == "OPTIONS":
            return self._preflight(origin)
        answer = await self._endpoint(request)
        if origin not in self._all:
            return answer
        shared: HeaderList = (_VARY,)
        if origin in self._origins.get(_client_id(request), ()):
            # RFC 9449 §8.2: a script has to read the nonce, or it can never be let in.
            exposed = (b"access-control-expose-headers", b"dpop-nonce")
            shared = (*_allowed(origin), exposed, *shared)
        return HttpResponse(answer.status, (*answer.headers, *shared), answer.body)

    def _preflight(self, origin: bytes) -> HttpResponse:
        # It does not say which client is asking; the answer that follows is for that one alone.
        if origin not in self._all:
            return HttpResponse(204, (_ALLOW, _VARY))
        return HttpResponse(204, (*_allowed(origin), *_PREFLIGHT, _ALLOW, _VARY))


def _allowed(origin: bytes) -> HeaderList:
    return ((b"access-control-allow-origin", origin),)


def _client_id(request: HttpRequest) -> str:
    try:
        return Form.parse(request.body).optional("client_id", str) or ""
    except OAuthError:
        return ""


def _origins_of(client: Client) -> frozenset[bytes]:
    # RFC 6749 §2.1: a client with a secret is not one whose code everybody can read.
    if client.method is not ClientAuthenticationMethod.NONE:
        return frozenset()
    return frozenset(filter(None, map(_origin_of, client.redirect_uris)))


def _origin_of(redirect_uri: str) -> bytes:
    """As a browser writes it; empty for a native application, which has none."""
    parts = urlsplit(redirect_uri)
    if parts.scheme not in _PORTS or not parts.hostname:
        return b""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in {None, _PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}".encode("ascii")
