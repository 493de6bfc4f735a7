"""Scripts of other origins at the token endpoint (the Fetch standard's CORS, RFC 6749 §2.1)."""

from typing import Any

import httpx2
import pytest
from tests.server.conftest import ISSUER, Endpoint

from mintmark.protocol.client_authentication import ClientAuthenticationMethod
from mintmark.protocol.message import HttpRequest, HttpResponse
from mintmark.server.clients import Client, ClientRegistry
from mintmark.server.cross_origin import CrossOrigin

SPA = "https://spa.example"
ALLOWED = "access-control-allow-origin"


def client(client_id: str, *redirect_uris: str, **changes: Any) -> Client:
    settings: dict[str, Any] = {"method": ClientAuthenticationMethod.NONE, **changes}
    return Client(
        client_id=client_id,
        name=client_id,
        grant_types=frozenset({"authorization_code"}),
        redirect_uris=frozenset(redirect_uris),
        **settings,
    )


CLIENTS = [
    client("spa", "https://spa.example/callback", "https://two.example:8443/callback"),
    client("other", "https://other.example/callback"),
    client("odd", "https://ODD.example:443/callback", "http://[::1]:5000/callback"),
    client("native", "com.example.app:/callback", "http://127.0.0.1/callback"),
    client(
        "web",
        "https://web.example/callback",
        method=ClientAuthenticationMethod.CLIENT_SECRET_BASIC,
    ),
]


async def refusing(request: HttpRequest) -> HttpResponse:
    del request
    return HttpResponse(400, ((b"cache-control", b"no-store"),), b"{}")


ENDPOINT = CrossOrigin(refusing, ClientRegistry({one.client_id: one for one in CLIENTS}, (), {}))


async def ask(method: str, *origins: str, body: bytes = b"client_id=spa") -> httpx2.Headers:
    headers = tuple((b"origin", one.encode("latin-1")) for one in origins)
    asked = HttpRequest(method=method, path="/token", headers=headers, body=body)
    answer = await ENDPOINT(asked)
    assert answer.status == (204 if method == "OPTIONS" else 400)
    return httpx2.Headers(list(answer.headers))


class TestPreflight:
    @pytest.mark.parametrize(
        "origin",
        [SPA, "https://two.example:8443", "https://other.example", "https://odd.example",
         "http://[::1]:5000", "http://127.0.0.1"],
    )  # fmt: skip
    async def test_the_origin_of_a_public_clients_redirect_uri_may_ask(self, origin: str) -> None:
        headers = await ask("OPTIONS", origin)

        assert headers[ALLOWED] == origin
        assert headers["access-control-allow-methods"] == "POST"
        assert "x-requested-with" in headers["access-control-allow-headers"]
        assert "authorization" not in headers["access-control-allow-headers"]
        assert headers["vary"] == "Origin"

    @pytest.mark.parametrize(
        "origin",
        [
            "https://evil.example",
            "http://spa.example",
            "https://spa.example:8443",
            "https://two.example",
            "https://spa.example.evil.example",
            "https://SPA.example",
            "https://spa.example/",
            "https://web.example",
            "http://127.0.0.1:49152",
            "com.example.app:",
            "null",
            "*",
            "",
        ],
    )
    async def test_no_other_origin_is_told_anything(self, origin: str) -> None:
        for method in ("OPTIONS", "POST"):
            headers = await ask(method, origin)
            assert not [name for name in headers if name.startswith("access-control-")]

    async def test_two_origins_are_none(self) -> None:
        assert ALLOWED not in await ask("OPTIONS", SPA, SPA)
        assert ALLOWED not in await ask("POST", SPA, SPA)


class TestAnswer:
    async def test_a_refusal_can_be_read_as_well(self) -> None:
        headers = await ask("POST", SPA)

        assert (headers[ALLOWED], headers["vary"]) == (SPA, "Origin")
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-credentials" not in headers

    @pytest.mark.parametrize(
        "body",
        [b"client_id=other", b"client_id=nobody", b"", b"client_id=spa&client_id=spa", b"\xff"],
    )
    async def test_the_answer_for_another_client_is_not_this_origins(self, body: bytes) -> None:
        headers = await ask("POST", SPA, body=body)

        assert ALLOWED not in headers
        assert headers["vary"] == "Origin"

    async def test_without_an_origin_nothing_changes(self) -> None:
        assert dict(await ask("POST")) == {"cache-control": "no-store"}


class TestServer:
    """The same on the whole server: `phone` is public, `web` is not."""

    PHONE = "http://127.0.0.1"

    @pytest.fixture
    def http(self, endpoint: Endpoint) -> httpx2.AsyncClient:
        return endpoint.http

    async def test_a_public_client_exchanges_from_its_own_origin(
        self, http: httpx2.AsyncClient
    ) -> None:
        preflight = {
            "origin": self.PHONE,
            "access-control-request-method": "POST",
            "access-control-request-headers": "x-requested-with",
        }
        may = await http.options("/token", headers=preflight)
        form = {"grant_type": "authorization_code", "client_id": "phone", "code": "none"}
        refused = await http.post("/token", data=form, headers={"origin": self.PHONE})

        assert (may.status_code, may.headers[ALLOWED]) == (204, self.PHONE)
        assert (refused.status_code, refused.headers[ALLOWED]) == (400, self.PHONE)

    async def test_a_client_with_a_secret_has_no_origin(self, endpoint: Endpoint) -> None:
        origin = {"origin": "https://app.example"}
        may = await endpoint.http.options("/token", headers=origin)
        given = await endpoint.http.post(
            "/token", data={"grant_type": "client_credentials", "scope": "stock.read"},
            headers={**endpoint.headers(), **origin},
        )  # fmt: skip

        assert given.status_code == 200
        assert ALLOWED not in may.headers
        assert ALLOWED not in given.headers

    @pytest.mark.parametrize(
        "path",
        ["/jwks", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
    )
    async def test_what_is_public_is_so_for_every_origin(
        self, http: httpx2.AsyncClient, path: str
    ) -> None:
        answer = await http.get(path, headers={"origin": "https://anybody.example"})

        assert answer.headers[ALLOWED] == "*"

    @pytest.mark.parametrize("path", ["/userinfo", "/revoke", "/login", "/authorize"])
    async def test_nothing_else_is_open(self, http: httpx2.AsyncClient, path: str) -> None:
        answer = await http.options(path, headers={"origin": self.PHONE})

        assert answer.status_code == 405
        assert ALLOWED not in answer.headers
        assert str(answer.url).startswith(ISSUER)
