"""Fetching over a real socket: what is not fetched, and where an answer stops being read."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mintmark.fetch import Fetcher, FetchError, FetchPolicy, FetchRefused, require_safe_url
from mintmark.testing import FakeAuthority

LOOPBACK = FetchPolicy(insecure_allow_http_on_loopback=True, timeout=timedelta(seconds=2))

Answer = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its own name
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    made = Fetcher(LOOPBACK)
    yield made
    made.close()


def plain(handler: BaseHTTPRequestHandler, body: bytes = b"{}", status: int = 200) -> None:
    handler.send_response_only(status)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class TestAddresses:
    @pytest.mark.parametrize(
        "url",
        ["http://id.example/", "http://10.0.0.1/", "ftp://id.example/", "file:///etc/passwd",
         "data:text/plain,x", "https:///", "//id.example", "", "https://user@id.example/",
         "https://a:b@id.example/", "https://id.example:0/", "https://id.example:99999/",
         "https://[::1/", "https://b\u00fccher.example/", "http://127.0.0.1.evil.example/",
         "http://localhost.evil.example/", "javascript:alert(1)"],
    )  # fmt: skip
    def test_what_is_never_fetched(self, url: str) -> None:
        with pytest.raises(FetchRefused):
            require_safe_url(url, LOOPBACK)

    @pytest.mark.parametrize(
        "url", ["https://id.example/", "http://127.0.0.1:8000/a", "http://localhost/", "http://[::1]/"]
    )  # fmt: skip
    def test_what_may_be(self, url: str) -> None:
        assert require_safe_url(url, LOOPBACK).geturl() == url

    def test_loopback_without_tls_needs_the_switch_that_says_so(self) -> None:
        with pytest.raises(FetchRefused, match="insecure_allow_http_on_loopback"):
            require_safe_url("http://127.0.0.1/", FetchPolicy())

    @pytest.mark.parametrize(
        "address",
        ["127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "100.64.0.1",
         "0.0.0.0", "224.0.0.1", "::1", "fe80::1", "fc00::1", "::ffff:10.0.0.1", "::"],
    )  # fmt: skip
    def test_a_name_that_leads_inside_is_not_followed(
        self, monkeypatch: pytest.MonkeyPatch, address: str
    ) -> None:
        """The address that was looked at is the one connected to; the name is asked once."""
        asked: list[str] = []

        def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        fetcher = Fetcher(FetchPolicy(timeout=timedelta(seconds=1)))
        with pytest.raises(FetchRefused, match="private"):
            fetcher.get("https://rebinding.example/")
        fetcher.close()
        assert asked == ["rebinding.example"]

    def test_a_cloud_metadata_address_is_not_reached_by_any_setting(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 443))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        policy = FetchPolicy(allow_private_addresses=True, insecure_allow_http_on_loopback=True)
        fetcher = Fetcher(policy)
        with pytest.raises(FetchRefused, match="private"):
            fetcher.get("https://id.example/")
        fetcher.close()


class TestAnswers:
    def test_an_answer_is_read_whatever_its_status(self, fetcher: Fetcher) -> None:
        with serving(lambda handler: plain(handler, b"no", 404)) as url:
            answer = fetcher.get(url)
            posted = fetcher.post(url, b"a=b")

        assert (answer.status, answer.body, answer.headers["content-length"]) == (404, b"no", "2")
        assert posted.status == 404

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_d14_a_redirect_is_not_followed(self, fetcher: Fetcher, status: int) -> None:
        def elsewhere(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response_only(status)
            handler.send_header("location", "http://127.0.0.1:1/")
            handler.send_header("content-length", "0")
            handler.end_headers()

        with serving(elsewhere) as url, pytest.raises(FetchRefused, match="redirects"):
            fetcher.get(url)

    @pytest.mark.parametrize(("length", "ok"), [(512 * 1024, True), (512 * 1024 + 1, False)])
    def test_d14_an_answer_that_is_too_large_is_not_read(
        self, fetcher: Fetcher, length: int, ok: bool
    ) -> None:
        with serving(lambda handler: plain(handler, b"a" * length)) as url:
            try:
                assert len(fetcher.get(url).body) == length
                read = True
            except FetchRefused:
                read = False
        assert read is ok

    @pytest.mark.parametrize("body", [True, False], ids=["body", "headers"])
    def test_d14_n5_an_answer_that_never_ends_is_given_up(self, body: bool) -> None:
        ended = threading.Event()

        def trickle(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response_only(200)
            if body:
                handler.send_header("content-length", "100000")
                handler.end_headers()
            else:
                handler.flush_headers()
            while not ended.wait(0.05):
                try:
                    handler.wfile.write(b"a")
                except OSError:
                    return

        fetcher = Fetcher(
            FetchPolicy(insecure_allow_http_on_loopback=True, timeout=timedelta(seconds=0.5))
        )
        with serving(trickle) as url:
            started = time.perf_counter()
            with pytest.raises(FetchError, match="ReadTimeout"):
                fetcher.get(url)
            took = time.perf_counter() - started
            ended.set()
        fetcher.close()
        assert 0.4 < took < 5

    def test_no_cookie_is_kept_and_no_compression_asked_for(self, fetcher: Fetcher) -> None:
        seen: list[dict[str, str]] = []

        def cookie(handler: BaseHTTPRequestHandler) -> None:
            seen.append({name.lower(): value for name, value in handler.headers.items()})
            handler.send_response_only(200)
            handler.send_header("set-cookie", "a=b")
            handler.send_header("content-length", "0")
            handler.end_headers()

        with serving(cookie) as url:
            fetcher.get(url)
            fetcher.get(url)

        assert not any("cookie" in headers for headers in seen)
        assert {headers["accept-encoding"] for headers in seen} == {"identity"}


def test_a_dead_server_is_an_error_that_says_to_try_again(fetcher: Fetcher) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(FetchError) as failure:
        fetcher.post(
            f"http://127.0.0.1:{port}/token?secret=in-the-query", b"client_secret=in-the-body",
            {"authorization": "Basic in-the-header"},
        )  # fmt: skip

    assert failure.value.retryable
    assert "in-the" not in str(failure.value)
    assert failure.value.__cause__ is None
    assert failure.value.__suppress_context__


def test_a_proxy_in_the_environment_sees_nothing(
    fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    fresh = Fetcher(LOOPBACK)
    with serving(plain) as url:
        assert fresh.get(url).status == 200
    fresh.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_makes_connections_of_its_own(authority: FakeAuthority) -> None:
    """On one connection the two would read each other's answers, and each other's tokens."""
    fetcher = Fetcher(authority.policy)
    url = f"{authority.issuer}/.well-known/openid-configuration"
    assert fetcher.get(url).status == 200
    parents = fetcher._client(None)
    child = os.fork()
    if child == 0:
        try:
            own = fetcher._client(None) is not parents
            os._exit(0 if own and fetcher.get(url).status == 200 else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert fetcher._client(None) is parents
    fetcher.close()
