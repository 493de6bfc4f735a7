"""What is particular about niquests; run by `tests/interop/test_niquests.py`, which installs it."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from importlib import import_module
from io import BytesIO
from typing import Any

import pytest
from tests.client.callers import Api
from tests.client.conftest import API
from tests.client.test_attachment import INVALID, bearer

from mintmark.client import ApplicationToken, Client, OriginNotAllowed, TokenUnavailable
from mintmark.testing import FakeAuthority, FrozenClock

niquests: Any = import_module("niquests")


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


def in_session(work: Callable[[Any], Awaitable[Any]], auth: Any, kind: Any = None) -> Any:
    async def run() -> Any:
        async with (kind or niquests.AsyncSession)(auth=auth) as session:
            session.trust_env = False
            return await work(session)

    return asyncio.run(run())


class AsyncFile:
    """As a library for files and coroutines has them."""

    def __init__(self, content: bytes) -> None:
        self._file = BytesIO(content)

    async def tell(self) -> int:
        return self._file.tell()

    async def seek(self, where: int) -> int:
        return self._file.seek(where)

    async def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    async def __aiter__(self) -> Any:
        while piece := await self.read(7):
            yield piece


@pytest.mark.parametrize("made", [BytesIO, AsyncFile])
def test_s08_niquests_a_file_of_coroutines_is_sent_again_whole(
    recipe: ApplicationToken, api: Api, made: Callable[[bytes], Any]
) -> None:
    api.answers = [(401, INVALID)]

    async def put(session: Any) -> int:
        answer = await session.put(api.origin, data=made(b"whole" * 1000), timeout=20)
        status: int = answer.status_code
        return status

    assert in_session(put, recipe.async_niquests_auth(origins=[api.origin])) == 200
    assert [request.body for request in api.seen] == [b"whole" * 1000] * 2


def test_s08_niquests_a_file_of_threads_is_sent_again_from_where_it_was(
    recipe: ApplicationToken, api: Api
) -> None:
    api.answers = [(401, INVALID)]
    file = BytesIO(b"head" + b"whole" * 1000)
    file.seek(4)
    auth = recipe.niquests_auth(origins=[api.origin])

    assert niquests.put(api.origin, data=file, auth=auth, timeout=20).status_code == 200
    assert [request.body for request in api.seen] == [b"whole" * 1000] * 2


@pytest.mark.parametrize("prepared", [True, False], ids=["prepared", "plain"])
def test_w19_niquests_without_a_token_nothing_is_sent(
    recipe: ApplicationToken, api: Api, authority: FakeAuthority, clock: FrozenClock, prepared: bool
) -> None:
    """A request prepared by hand, too: an awaited auth object is not awaited for that."""

    async def send(session: Any) -> int:
        request = niquests.Request("GET", api.origin)
        if prepared:
            answer = await session.send(session.prepare_request(request), timeout=20)
        else:
            answer = await session.get(api.origin, timeout=20)
        status: int = answer.status_code
        return status

    auth = recipe.async_niquests_auth(origins=[api.origin])
    authority.down = True
    with pytest.raises(TokenUnavailable):
        in_session(send, auth)
    assert api.seen == []
    authority.down = False
    clock.advance("5m")
    assert in_session(send, auth) == 200
    assert api.tokens() == [bearer(recipe)]


def test_w19_niquests_a_request_sent_before_is_not_sent_to_another_address(
    recipe: ApplicationToken, api: Api, elsewhere: Api
) -> None:
    async def send_twice(session: Any) -> None:
        request = session.prepare_request(niquests.Request("GET", api.origin))
        await session.send(request, timeout=20)
        request.url = elsewhere.origin
        await session.send(request, timeout=20)

    with pytest.raises(OriginNotAllowed):
        in_session(send_twice, recipe.async_niquests_auth(origins=[api.origin]))
    assert (len(api.seen), elsewhere.seen) == (1, [])


@pytest.mark.parametrize("again", [False, True], ids=["first", "renewed"])
def test_w19_niquests_no_careless_session_takes_the_token_elsewhere(
    recipe: ApplicationToken, api: Api, elsewhere: Api, again: bool
) -> None:
    first = [(401, INVALID)] if again else []
    redirect = [(307, {"location": elsewhere.origin})]

    class Careless(niquests.Session):  # type: ignore[misc]  # -- niquests is not installed here
        def should_strip_auth(self, *_: Any) -> bool:
            return False

    class AsyncCareless(niquests.AsyncSession):  # type: ignore[misc]  # -- niquests is not installed here
        def should_strip_auth(self, *_: Any) -> bool:
            return False

    async def post(session: Any) -> None:
        await session.post(api.origin, data=b"5", timeout=20)

    api.answers = first + redirect
    with Careless(auth=recipe.niquests_auth(origins=[api.origin])) as session:
        session.trust_env = False
        session.post(api.origin, data=b"5", timeout=20)
    api.answers = first + redirect
    in_session(post, recipe.async_niquests_auth(origins=[api.origin]), AsyncCareless)

    assert elsewhere.tokens() == ["", ""]
    assert all(api.tokens())
    with pytest.raises(OriginNotAllowed):
        niquests.get(elsewhere.origin, auth=recipe.niquests_auth(origins=[api.origin]))


def test_s08_niquests_a_streamed_answer_is_the_one_after_the_renewal(
    recipe: ApplicationToken, api: Api
) -> None:
    async def get(session: Any) -> bytes:
        answer = await session.get(api.origin, stream=True, timeout=20)
        content: bytes = await answer.content
        assert [one.status_code for one in answer.history] == [401]
        return content

    api.answers = [(401, INVALID)]
    assert in_session(get, recipe.async_niquests_auth(origins=[api.origin])) == bytes(2)
    api.answers = [(401, INVALID)]
    with niquests.Session(auth=recipe.niquests_auth(origins=[api.origin])) as session:
        assert session.get(api.origin, stream=True, timeout=20).content == bytes(2)


def test_s08_niquests_a_session_whose_answers_come_later_is_renewed_too(
    recipe: ApplicationToken, api: Api
) -> None:
    api.answers = [(401, INVALID)]
    auth = recipe.niquests_auth(origins=[api.origin])
    with niquests.Session(auth=auth, multiplexed=True) as session:
        answer = session.get(api.origin, timeout=20)
        session.gather()

        assert answer.status_code == 200
    assert len(set(api.tokens())) == 2


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_w19_niquests_the_wrong_one_of_the_two_is_noticed_at_once(
    recipe: ApplicationToken, api: Api
) -> None:
    async def get(session: Any) -> None:
        await session.get(api.origin, timeout=20)

    with pytest.raises(RuntimeError, match="async_niquests_auth"):
        in_session(get, recipe.niquests_auth(origins=[api.origin]))
    # It cannot be awaited there that the connection is closed; it is gone with the session.
    gc.collect()
