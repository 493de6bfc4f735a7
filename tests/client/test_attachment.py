"""The same rules for every HTTP library, over real connections (RFC 6750 §2.1, §3.1)."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests
from requests.adapters import HTTPAdapter
from tests.client.callers import CALLERS, Api, Caller
from tests.client.conftest import API

from mintmark.client import (
    ApplicationToken,
    Client,
    InsufficientScope,
    OriginNotAllowed,
    TokenRejected,
    TokenUnavailable,
)
from mintmark.client.attachment import Answer, Attachment
from mintmark.testing import FakeAuthority

INVALID = {"www-authenticate": 'Bearer realm="a", error="invalid_token"'}
WIDER = {"www-authenticate": 'Bearer error="insufficient_scope", scope="orders.write"'}


@pytest.fixture
def api() -> Iterator[Api]:
    with Api().serve() as serving:
        yield serving


@pytest.fixture
def elsewhere() -> Iterator[Api]:
    with Api().serve() as serving:
        yield serving


@pytest.fixture
def recipe(client: Client) -> ApplicationToken:
    return client.app_token(scope="orders.read", resource=API)


@pytest.fixture(params=CALLERS)
def caller(request: pytest.FixtureRequest, recipe: ApplicationToken, api: Api) -> Iterator[Caller]:
    made = CALLERS[request.param](recipe, [api.origin])
    yield made
    made.close()


def bearer(recipe: ApplicationToken) -> str:
    return f"Bearer {recipe.token().reveal()}"


class TestOrigins:
    """A token goes to its own API alone, whoever asks for another address."""

    def test_a_request_to_the_api_carries_the_token(
        self, caller: Caller, api: Api, recipe: ApplicationToken
    ) -> None:
        assert caller.call("GET", api.origin + "/orders?page=2") == 200
        assert caller.call("POST", api.origin + "/orders", b"{}") == 200

        assert api.tokens() == [bearer(recipe)] * 2

    @pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
    def test_w19_a_request_elsewhere_is_not_sent(
        self, caller: Caller, api: Api, elsewhere: Api, authority: FakeAuthority, name: str
    ) -> None:
        """Another port, and another name of the very same server."""
        port = elsewhere.port if name == "127.0.0.1" else api.port

        with pytest.raises(OriginNotAllowed):
            caller.call("GET", f"http://{name}:{port}/")
        assert api.seen + elsewhere.seen == []
        assert authority.counts["client_credentials"] == 0

    def test_a_redirect_within_the_api_keeps_the_token(
        self, caller: Caller, api: Api, recipe: ApplicationToken
    ) -> None:
        api.answers = [(307, {"location": "/there"})]

        assert caller.call("POST", api.origin, b"once") == 200
        assert api.tokens() == [bearer(recipe)] * 2
        assert [request.body for request in api.seen] == [b"once"] * 2

    @pytest.mark.parametrize("status", [302, 308])
    @pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
    def test_w19_a_redirect_elsewhere_never_carries_the_token(
        self, caller: Caller, api: Api, elsewhere: Api, name: str, status: int
    ) -> None:
        port = elsewhere.port if name == "127.0.0.1" else api.port
        api.answers = [(status, {"location": f"http://{name}:{port}/stolen"})]

        if caller.bare_elsewhere:
            assert caller.call("GET", api.origin) == 200
        else:
            with pytest.raises(OriginNotAllowed):
                caller.call("GET", api.origin)
        stolen = [one for one in api.seen + elsewhere.seen if one.path == "/stolen"]
        assert [one.authorization for one in stolen] == [""] * caller.bare_elsewhere

    def test_w19_a_redirect_back_does_not_bring_the_token_out_either(
        self, caller: Caller, api: Api, elsewhere: Api
    ) -> None:
        api.answers = [(302, {"location": elsewhere.origin})]
        elsewhere.answers = [(302, {"location": api.origin + "/back"})]

        if caller.bare_elsewhere:
            caller.call("GET", api.origin)
        else:
            with pytest.raises(OriginNotAllowed):
                caller.call("GET", api.origin)
        assert not any(elsewhere.tokens())

    @pytest.mark.parametrize(
        "caller", [name for name in CALLERS if name != "aiohttp"], indirect=True
    )
    @pytest.mark.parametrize("answer", [(401, INVALID), (403, WIDER)], ids=["401", "403"])
    def test_s08_what_another_origin_says_of_the_token_is_not_heard(
        self,
        caller: Caller,
        api: Api,
        elsewhere: Api,
        authority: FakeAuthority,
        answer: tuple[int, dict[str, str]],
    ) -> None:
        api.answers = [(302, {"location": elsewhere.origin})]
        elsewhere.answers = [answer]

        assert caller.call("GET", api.origin) == answer[0]
        assert (len(api.seen), elsewhere.tokens()) == (1, [""])
        assert authority.counts["client_credentials"] == 1


class TestS08Renewal:
    """After `invalid_token` exactly one renewal and one repetition."""

    def test_s08_one_renewal_and_one_repetition(
        self, caller: Caller, api: Api, authority: FakeAuthority, recipe: ApplicationToken
    ) -> None:
        old = bearer(recipe)
        api.answers = [(401, INVALID)]

        assert caller.call("POST", api.origin, b"whole") == 200
        assert api.tokens() == [old, bearer(recipe)]
        assert old != bearer(recipe)
        assert [request.body for request in api.seen] == [b"whole"] * 2
        assert authority.counts["client_credentials"] == 2

    def test_s08_a_second_refusal_is_an_error(
        self, caller: Caller, api: Api, authority: FakeAuthority
    ) -> None:
        api.answers = [(401, INVALID)] * 3

        with pytest.raises(TokenRejected):
            caller.call("GET", api.origin)
        assert (len(api.seen), authority.counts["client_credentials"]) == (2, 2)
        assert caller.call("GET", api.origin) == 200  # after the third 401, with a new token

    def test_s08_a_generator_is_not_sent_again_but_its_token_is_forgotten(
        self, caller: Caller, api: Api, authority: FakeAuthority
    ) -> None:
        api.answers = [(401, INVALID)]

        assert caller.call("POST", api.origin, [b"ha", b"lf"]) == 401
        assert [request.body for request in api.seen] == [b"half"]
        assert caller.call("POST", api.origin, [b"ha", b"lf"]) == 200
        assert len(set(api.tokens())) == authority.counts["client_credentials"] == 2

    @pytest.mark.parametrize("caller", ["requests", "aiohttp"], indirect=True)
    def test_s08_a_file_is_sent_again_from_where_it_was(
        self, caller: Caller, api: Api, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_bytes(b"head" + b"whole" * 50_000)
        api.answers = [(401, INVALID)]
        with (tmp_path / "file").open("rb") as file:
            file.seek(4)
            assert caller.call("PUT", api.origin, file) == 200

        assert [request.body == b"whole" * 50_000 for request in api.seen] == [True, True]

    def test_s08_an_answer_before_the_body_was_read_costs_nothing_of_it(
        self, caller: Caller, api: Api
    ) -> None:
        body = b"0123456789abcdef" * 60_000  # more than the sockets hold between them
        api.answers, api.early = [(401, INVALID)], True

        assert caller.call("POST", api.origin, body) == 200
        assert api.seen[-1].body == body

    @pytest.mark.parametrize("caller", ["aiohttp"], indirect=True)
    def test_s08_a_file_that_is_still_being_sent_is_sent_again_whole(
        self, caller: Caller, api: Api, tmp_path: Path
    ) -> None:
        """Whoever is still writing the first time must not take pieces from the second."""
        body = bytes(range(256)) * 64 * 1024
        (tmp_path / "file").write_bytes(body)
        api.answers, api.early, api.slow = [(401, INVALID)], True, 0.3
        with (tmp_path / "file").open("rb") as file:
            assert caller.call("PUT", api.origin, file) == 200

        assert [len(request.body) for request in api.seen if request.body == body] == [len(body)]

    def test_s08_what_was_done_is_not_done_twice(self, caller: Caller, api: Api) -> None:
        """A POST that was answered with "see there" is done, whatever is said there."""
        api.answers = [(303, {"location": "/there"}), (401, INVALID)]

        caller.call("POST", api.origin + "/pay", b"5")
        assert [request.path for request in api.seen if request.method == "POST"] == ["/pay"]

    @pytest.mark.parametrize(
        "headers",
        [{}, {"www-authenticate": "Bearer"}, {"www-authenticate": 'Basic error="invalid_token"'}],
        ids=["none", "bare", "basic"],
    )
    def test_another_401_is_the_callers(
        self, caller: Caller, api: Api, headers: dict[str, str]
    ) -> None:
        api.answers = [(401, headers)]

        assert caller.call("GET", api.origin) == 401
        assert len(api.seen) == 1


class TestS09Scope:
    """A 403 is never repeated with the same token."""

    def test_s09_the_needed_scope_is_named(
        self, caller: Caller, api: Api, authority: FakeAuthority
    ) -> None:
        api.answers = [(403, WIDER)]

        with pytest.raises(InsufficientScope) as refusal:
            caller.call("GET", api.origin)
        assert refusal.value.scope == {"orders.write"}
        assert (len(api.seen), authority.counts["client_credentials"]) == (1, 1)

    def test_s09_a_403_after_the_renewal_is_the_same(self, caller: Caller, api: Api) -> None:
        api.answers = [(401, INVALID), (403, WIDER)]

        with pytest.raises(InsufficientScope):
            caller.call("GET", api.origin)
        assert len(api.seen) == 2

    def test_another_403_is_the_callers(self, caller: Caller, api: Api) -> None:
        api.answers = [(403, {})]

        assert caller.call("GET", api.origin) == 403
        assert len(api.seen) == 1


class TestW19NoToken:
    """Without a token nothing is sent."""

    def test_w19_the_token_server_is_down(
        self, caller: Caller, api: Api, authority: FakeAuthority
    ) -> None:
        authority.down = True

        with pytest.raises(TokenUnavailable):
            caller.call("GET", api.origin)
        assert api.seen == []

    def test_w19_it_goes_down_before_the_renewal(
        self, caller: Caller, api: Api, authority: FakeAuthority, recipe: ApplicationToken
    ) -> None:
        recipe.token()
        authority.down = True
        api.answers = [(401, INVALID)]

        with pytest.raises(TokenUnavailable):
            caller.call("GET", api.origin)
        assert len(api.seen) == 1


class TestManyAtOnce:
    """One auth object, shared by everybody."""

    def test_fifty_calls_and_one_cold_token_are_one_token_request(
        self, caller: Caller, api: Api, authority: FakeAuthority
    ) -> None:
        authority.delay = 0.1

        assert caller.call_together(50, api.origin) == [200] * 50
        assert authority.counts["client_credentials"] == 1
        assert len(set(api.tokens())) == 1

    def test_nothing_is_held_while_the_api_answers(self, caller: Caller, api: Api) -> None:
        """The API answers none of them before all have come."""
        api.meeting = threading.Barrier(8, timeout=10)

        assert caller.call_together(8, api.origin) == [200] * 8


class Answering(HTTPAdapter):
    """A connection of requests that answers as it is told, to any scheme and host."""

    def __init__(self, *answers: tuple[int, dict[str, str]]) -> None:
        super().__init__()
        self.answers = list(answers)
        self.seen: list[tuple[str, str]] = []
        self.sent: list[requests.Response] = []

    def send(
        self, request: requests.PreparedRequest, *arguments: Any, **how: Any
    ) -> requests.Response:
        authorization = request.headers.get("Authorization", "")
        self.seen.append((str(request.url), str(authorization)))
        response = requests.Response()
        response.status_code, headers = self.answers.pop(0) if self.answers else (200, {})
        response.headers.update(headers)
        response.url, response.request = str(request.url), request
        response.raw = BytesIO(b"ok")
        self.sent.append(response)
        response.connection = self
        return response


class Careless(requests.Session):
    """As people write it when a redirect "loses" their header."""

    def should_strip_auth(self, old_url: str, new_url: str) -> bool:
        return False


def session_with(
    answering: Answering,
    recipe: ApplicationToken,
    origin: str,
    kind: Callable[[], requests.Session] = requests.Session,
) -> requests.Session:
    session = kind()
    session.trust_env = False
    session.auth = recipe.requests_auth(origins=[origin])
    session.mount("https://", answering)
    session.mount("http://", answering)
    return session


class TestRequests:
    """What is particular about requests: it carries the header itself, once it has it."""

    @pytest.mark.parametrize("kind", [requests.Session, Careless])
    @pytest.mark.parametrize(
        ("origin", "target"),
        [
            (API, "http://api.example/"),
            (API, "https://api.example:444/"),
            (API, "//evil.example/"),
            (API, "https://sub.api.example/"),
            (API, "https://api.example@evil.example/"),
            ("http://localhost", "https://localhost/"),  # requests itself keeps the header here
        ],
    )
    def test_w19_no_session_takes_the_token_to_another_origin(
        self, recipe: ApplicationToken, kind: type[requests.Session], origin: str, target: str
    ) -> None:
        answering = Answering((302, {"location": target}))
        with session_with(answering, recipe, origin, kind) as session:
            session.get(origin)

        assert [authorization for _, authorization in answering.seen] == [bearer(recipe), ""]

    @pytest.mark.parametrize("kind", [requests.Session, Careless])
    def test_w19_nor_after_a_renewal(
        self, recipe: ApplicationToken, kind: type[requests.Session]
    ) -> None:
        answering = Answering((401, INVALID), (302, {"location": "https://evil.example/"}))
        with session_with(answering, recipe, API, kind) as session:
            session.get(API)

        assert answering.seen[1:] == [(API + "/", bearer(recipe)), ("https://evil.example/", "")]

    def test_a_redirect_to_an_unusual_path_of_the_api_keeps_the_token(
        self, recipe: ApplicationToken
    ) -> None:
        answering = Answering((302, {"location": "/bestellungen/f\u00c3\u00bcr alle"}))
        with session_with(answering, recipe, API) as session:
            session.get(API)

        assert answering.seen[1][1] == bearer(recipe)

    def test_s08_a_redirect_after_the_renewal_goes_on_with_the_new_token(
        self, recipe: ApplicationToken
    ) -> None:
        answering = Answering((401, INVALID), (307, {"location": "/there"}))
        with session_with(answering, recipe, API) as session:
            response = session.get(API)

        assert answering.seen[1:] == [(API + "/", bearer(recipe)), (API + "/there", bearer(recipe))]
        assert response.status_code == 200

    def test_s08_a_request_that_was_prepared_twice_is_renewed_once(
        self, recipe: ApplicationToken
    ) -> None:
        answering = Answering(*[(401, INVALID)] * 4)
        with session_with(answering, recipe, API) as session:
            prepared = session.prepare_request(requests.Request("GET", API))
            prepared.prepare_auth(session.auth)
            with pytest.raises(TokenRejected):
                session.send(prepared)

        assert len(answering.seen) == 2

    def test_s08_a_pipe_is_not_sent_again(self, recipe: ApplicationToken) -> None:
        class Pipe(BytesIO):
            def tell(self) -> int:
                raise OSError

        answering = Answering((401, INVALID))
        with session_with(answering, recipe, API) as session:
            assert session.post(API, data=Pipe(b"once")).status_code == 401
        assert len(answering.seen) == 1

    def test_the_callers_hook_sees_the_last_answer_alone(self, recipe: ApplicationToken) -> None:
        statuses: list[int] = []

        def note(response: requests.Response, **how: object) -> None:
            statuses.append(response.status_code)

        answering = Answering((401, INVALID))
        with session_with(answering, recipe, API) as session:
            response = session.get(API, hooks={"response": note})

        assert statuses == [200]
        assert [one.status_code for one in response.history] == [401]


REFUSALS = pytest.mark.parametrize(
    "answers",
    [[(403, WIDER)], [(401, INVALID), (401, INVALID)], [(401, INVALID), (403, WIDER)]],
    ids=["403", "401-401", "401-403"],
)


@REFUSALS
def test_an_error_gives_the_connection_of_requests_back(
    recipe: ApplicationToken, answers: list[tuple[int, dict[str, str]]]
) -> None:
    answering = Answering(*answers)
    with (
        session_with(answering, recipe, API) as session,
        pytest.raises((InsufficientScope, TokenRejected)),
    ):
        session.get(API, stream=True)

    assert [one.raw.closed or one.raw.read() == b"" for one in answering.sent] == [True] * len(
        answers
    )


@REFUSALS
async def test_an_error_gives_the_connection_of_aiohttp_back(
    recipe: ApplicationToken, api: Api, answers: list[tuple[int, dict[str, str]]]
) -> None:
    """The one connection there is; the traceback still knows the answer that was not read."""
    api.answers, api.size = list(answers), 4 * 1024 * 1024
    async with aiohttp.ClientSession(
        middlewares=[recipe.aiohttp_auth(origins=[api.origin])],
        connector=aiohttp.TCPConnector(limit=1),
    ) as session:
        with pytest.raises((InsufficientScope, TokenRejected)) as kept:
            await session.get(api.origin)
        async with asyncio.timeout(10), session.get(api.origin) as response:
            assert response.status == 200
        assert kept.tb is not None


@pytest.mark.parametrize("status", [200, 302, 400, 500])
def test_a_challenge_on_any_other_answer_says_nothing(
    client: Client, recipe: ApplicationToken, authority: FakeAuthority, status: int
) -> None:
    attachment = Attachment(recipe, [API], client.authority.fetcher.policy)
    answer = Answer(API, status, [INVALID["www-authenticate"], WIDER["www-authenticate"]])

    assert attachment.renewed(answer, recipe.token(), replayable=True) is None
    assert authority.counts["client_credentials"] == 1


def test_no_other_http_library_is_imported_before_it_is_asked_for() -> None:
    program = (
        "import mintmark.client, sys\n"
        "print([name for name in ('requests', 'httpx', 'aiohttp') if name in sys.modules])"
    )
    path = os.pathsep.join(sys.path)
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": path}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    assert ran.stdout.strip() == "[]"
