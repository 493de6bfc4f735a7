"""APIs called from FastAPI, Flask and Django: the right token, nobody else's cookies, one pool.

RFC 9110 §15.6.3, RFC 9110 §15.6.4, RFC 9457 §3
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx2
import pytest
from django.core.exceptions import (  # type: ignore[import-untyped]  # -- Django has no types
    ImproperlyConfigured,
)
from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]  # -- as above
from django.http import HttpResponse  # type: ignore[import-untyped]  # -- Django has no types
from django.test import override_settings  # type: ignore[import-untyped]  # -- as above
from fastapi import FastAPI
from flask import Flask, request
from tests.api.faces import Urls, ask_wsgi, set_django_up
from tests.client.callers import Api

from mintmark.client import Client, DelegatedToken, MemoryUserTokens, StoredToken, UserTokens
from mintmark.client import django as django_face
from mintmark.client import fastapi as fastapi_face
from mintmark.client import flask as flask_face
from mintmark.client.connections import ApiClients, base_of
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority
from mintmark.testing.faults import Fault

Get = Callable[[str, str], tuple[int, dict[str, str], bytes]]
RecipeOf = Callable[[str], DelegatedToken]

PEOPLE = {name: f"access-token-of-{name}-in-this-test" for name in ("alice", "bob")}


@pytest.fixture
def api() -> Iterator[Api]:
    with Api().serve() as serving:
        yield serving


@pytest.fixture
def recipe_of(client: Client, api: Api) -> RecipeOf:
    """A person's recipe, by the name that stands for their session."""
    store = MemoryUserTokens()
    now = client.tokens.clock.now()
    for name, token in PEOPLE.items():
        held = StoredToken(
            access_token=Secret(token), received=now, expires_at=datetime(2026, 1, 1, 13, tzinfo=UTC),
            scope=frozenset(), resource=frozenset({api.origin}),
        )  # fmt: skip
        tokens = UserTokens(subject=name, refresh_token=None, id_token=None, access_tokens=(held,))
        store.begin(Secret(f"session-of-{name}"), tokens)

    def find(name: str) -> DelegatedToken:
        return client.user_token(Secret(f"session-of-{name}"), store, resource=api.origin)

    return find


def fastapi_site(client: Client, api: Api, recipe_of: RecipeOf) -> Any:
    apis = fastapi_face.Apis(client)
    app = apis.install(FastAPI())

    @app.get("/orders")
    async def orders(
        http: Annotated[httpx2.AsyncClient, apis.app(resource=api.origin, scope="orders.read")],
    ) -> str:
        return (await http.get("/orders")).text

    async def found(connection: Any) -> DelegatedToken:
        return recipe_of(connection.headers["x-person"])

    @app.get("/mine")
    async def mine(
        http: Annotated[httpx2.AsyncClient, apis.of(found, base_url=api.origin)],
    ) -> str:
        return (await http.get("/mine")).text

    return app


async def with_lifespan(app: Any, asking: Callable[[], Awaitable[Any]]) -> Any:
    async with app.router.lifespan_context(app):
        return await asking()


def get_fastapi(client: Client, api: Api, recipe_of: RecipeOf) -> Iterator[Get]:
    app = fastapi_site(client, api, recipe_of)

    def get(path: str, person: str) -> tuple[int, dict[str, str], bytes]:
        async def ask() -> httpx2.Response:
            transport = httpx2.ASGITransport(app)
            async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as http:
                return await http.get(path, headers={"x-person": person})

        answer = asyncio.run(with_lifespan(app, ask))
        return answer.status_code, dict(answer.headers), answer.content

    yield get


def get_flask(client: Client, api: Api, recipe_of: RecipeOf) -> Iterator[Get]:
    apis = flask_face.Apis(client)
    app = apis.install(Flask("shop"))

    @app.get("/orders")
    def orders() -> str:
        return apis.app(resource=api.origin, scope="orders.read").get("/orders").text

    @app.get("/mine")
    def mine() -> str:
        return (
            apis.of(recipe_of(request.headers["x-person"]), base_url=api.origin).get("/mine").text
        )

    def get(path: str, person: str) -> tuple[int, dict[str, str], bytes]:
        answer = app.test_client().get(path, headers={"x-person": person})
        return answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, answer.data

    yield get
    apis.close()


def get_django(client: Client, api: Api, recipe_of: RecipeOf) -> Iterator[Get]:
    def orders(_: Any) -> Any:
        with django_face.app_client(resource=api.origin, scope="orders.read") as http:
            return HttpResponse(http.get("/orders").text)

    def mine(asked: Any) -> Any:
        recipe = recipe_of(asked.headers["x-person"])
        with django_face.client_of(recipe, base_url=api.origin) as http:
            return HttpResponse(http.get("/mine").text)

    set_django_up()
    changed = {
        "MINTMARK_CLIENT": client,
        "MIDDLEWARE": ["mintmark.client.django.TokenFailures"],
        "ROOT_URLCONF": Urls(orders=orders, mine=mine),
    }
    with override_settings(**changed):
        ask = ask_wsgi(get_wsgi_application())

        def get(path: str, person: str) -> tuple[int, dict[str, str], bytes]:
            answer = ask(path=path, headers=[("x-person", person)])
            return answer.status, dict(answer.fields), answer.body

        yield get


@pytest.fixture(params=[get_fastapi, get_flask, get_django], ids=["fastapi", "flask", "django"])
def get(request: Any, client: Client, api: Api, recipe_of: RecipeOf) -> Iterator[Get]:
    yield from request.param(client, api, recipe_of)


def test_the_applications_token_is_fetched_once_for_all_requests(
    get: Get, api: Api, authority: FakeAuthority
) -> None:
    statuses = [get("/orders", "")[0] for _ in range(3)]

    assert statuses == [200, 200, 200]
    assert [seen.path for seen in api.seen] == ["/orders"] * 3
    assert len(set(api.tokens())) == 1
    assert api.tokens()[0].startswith("Bearer ey")
    assert authority.counts["client_credentials"] == 1


def test_each_person_has_their_own_token_and_nobody_elses_cookies(get: Get, api: Api) -> None:
    api.answers += [(200, {"set-cookie": "of=alice"}), (200, {}), (200, {})]
    for person in ("alice", "bob", "alice"):
        get("/mine", person)

    assert api.tokens() == [f"Bearer {PEOPLE[name]}" for name in ("alice", "bob", "alice")]
    assert [seen.cookie for seen in api.seen] == ["", "", ""]


def test_without_a_token_the_visitor_is_told_to_come_again_and_not_why(
    get: Get, api: Api, authority: FakeAuthority
) -> None:
    authority.faults.append(Fault(status=503, body=b"planted"))
    status, headers, body = get("/orders", "")

    assert (status, headers["retry-after"]) == (503, "5")
    assert headers["content-type"] == "application/problem+json"
    assert body == b'{"title":"Service Unavailable","status":503}'
    assert api.seen == []


def test_a_refusal_that_lasts_is_a_502_without_a_word_of_the_server(
    get: Get, api: Api, authority: FakeAuthority
) -> None:
    body = b'{"error":"invalid_client","error_description":"planted"}'
    authority.faults.append(Fault(status=400, body=body))
    status, headers, told = get("/orders", "")

    assert status == 502
    assert "retry-after" not in headers
    assert b"planted" not in told
    assert api.seen == []


def test_a_scope_that_the_api_misses_is_no_fault_of_the_visitor(get: Get, api: Api) -> None:
    api.answers.append((403, {"www-authenticate": 'Bearer error="insufficient_scope", scope="x"'}))

    assert get("/orders", "")[0] == 502


def test_a_token_goes_to_its_own_api_alone(client: Client, api: Api) -> None:
    clients = ApiClients(client)
    http = clients.app(resource="https://orders.example", base_url=api.origin)
    with pytest.raises(Exception, match="this token is not for"):
        http.get("/orders")
    clients.close()

    assert api.seen == []


def test_a_client_that_ends_leaves_its_connection_to_the_next(client: Client, api: Api) -> None:
    clients = ApiClients(client)
    transports = set()
    for _ in range(3):
        with clients.app(resource=api.origin) as http:
            http.get("/orders")
        transports.add(id(clients._shared._own()))
    clients.close()

    assert len(transports) == 1
    assert clients._shared._made is None


def test_a_child_process_makes_connections_of_its_own(client: Client, api: Api) -> None:
    """Two processes on one connection would read each other's answers."""
    clients = ApiClients(client)
    clients.app(resource=api.origin).get("/orders")
    parents = clients._shared._own()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"other" if clients._shared._own() is not parents else b"same")
        os._exit(0)
    os.waitpid(child, 0)
    said = os.read(reader, 9)
    os.close(reader)
    os.close(writer)
    clients.close()

    assert said == b"other"


async def test_the_end_of_the_application_closes_what_fastapi_opened(
    client: Client, api: Api, recipe_of: RecipeOf
) -> None:
    app = FastAPI()
    ended: list[str] = []

    class Watched(httpx2.AsyncHTTPTransport):
        async def aclose(self) -> None:
            ended.append("closed")
            await super().aclose()

    apis = fastapi_face.Apis(client, transport=Watched(trust_env=False))
    apis.install(app)
    async with app.router.lifespan_context(app):
        assert ended == []

    assert ended == ["closed"]


@pytest.mark.parametrize(
    ("resource", "base_url", "base"),
    [
        ("https://a.example", "", "https://a.example"),
        ("https://a.example", "https://b.example", "https://b.example"),
        (["https://a.example", "https://b.example"], "", ""),
        ("api-of-orders", "", ""),
    ],
)
def test_relative_addresses_lead_to_the_one_api(resource: Any, base_url: str, base: str) -> None:
    assert base_of(resource, base_url) == base


@pytest.mark.parametrize("said", [None, 7, "", "orders", "NOBODY_SET_THESE"])
def test_django_names_what_its_settings_lack(said: object) -> None:
    set_django_up()
    with (
        override_settings(MINTMARK_CLIENT=said),
        pytest.raises(ImproperlyConfigured, match="MINTMARK_CLIENT"),
    ):
        django_face.app_client(resource="https://a.example")
