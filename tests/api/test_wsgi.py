"""The WSGI face: threads before an asynchronous core, a fork, a limit, and real servers."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from tests.api.conftest import API, bearer
from tests.api.faces import ask_wsgi, environ_of, plain_wsgi
from werkzeug.serving import WSGIRequestHandler, make_server

from mintmark.api import (
    AUTHENTICATED,
    PUBLIC,
    Caller,
    ClientCertificate,
    DPoP,
    Gate,
    MemoryDenyList,
    Refused,
    TrustedIssuer,
    rule,
    scope,
)
from mintmark.api import entrance as entrances
from mintmark.api.entrance import Entrance
from mintmark.api.environ import scope_of
from mintmark.api.private_loop import run
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.keys import SigningKey
from mintmark.protocol.dpop import make_proof
from mintmark.protocol.mtls import certificate_thumbprint
from mintmark.testing import FakeAuthority, FrozenClock

Gated = Callable[..., Gate]


@pytest.fixture
def gated(authority: FakeAuthority, clock: FrozenClock) -> Iterator[Gated]:
    authority.clock = clock
    made: list[Gate] = []

    def one(**settings: Any) -> Gate:
        trusted = TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)
        made.append(Gate(API, issuers=[trusted], clock=clock, **settings))
        return made[-1]

    yield one
    for gate in made:
        gate.close()


class TestEnviron:
    """PEP 3333 in, ASGI out."""

    def test_header_fields_are_lower_case_bytes(self) -> None:
        environ = environ_of("POST", "/orders", [("X-Two", "a"), ("x-two", "b")])
        environ |= {"CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "", "HTTP_CONTENT_TYPE": "x"}
        headers = scope_of(environ)["headers"]

        assert headers == [(b"x-two", b"a,b"), (b"content-type", b"text/plain")]

    @pytest.mark.parametrize(
        ("sent", "raw"),
        [("/a%2Fb?c", b"/a%2Fb"), ("https://api.example/a%2Fb", b"/a%2Fb"),
         ("HTTP://api.example", b"/"), ("*", b"*"), ("/", b"/")],
    )  # fmt: skip
    @pytest.mark.parametrize("name", ["REQUEST_URI", "RAW_URI"])
    def test_the_target_as_it_was_sent(self, sent: str, raw: bytes, name: str) -> None:
        assert scope_of(environ_of("GET", "/a/b", []) | {name: sent})["raw_path"] == raw

    def test_the_path_below_a_root(self) -> None:
        environ = environ_of("GET", "/\xc3\xa9", []) | {"SCRIPT_NAME": "/shop"}
        made = scope_of(environ)

        assert (made["path"], made["root_path"]) == ("/shop/é", "/shop")
        assert "raw_path" not in made

    @pytest.mark.parametrize(
        ("environ", "client"),
        [({"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "9"}, ("192.0.2.1", 9)),
         ({"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": ""}, ("192.0.2.1", 0)),
         ({"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "²"}, ("192.0.2.1", 0)),
         ({"REMOTE_ADDR": ""}, None), ({}, None),
         ({"REMOTE_ADDR": "10.0.0.1", "REMOTE_PORT": "9",
           "werkzeug.proxy_fix.orig": {"REMOTE_ADDR": "192.0.2.1"}}, ("192.0.2.1", 9))],
    )  # fmt: skip
    def test_who_is_connected(self, environ: dict[str, Any], client: Any) -> None:
        assert scope_of({"REQUEST_METHOD": "GET", **environ})["client"] == client


class TestCallers:
    def test_a_path_without_a_rule_and_a_public_one(
        self, gated: Gated, authority: FakeAuthority
    ) -> None:
        ask = ask_wsgi(gated().wrap_wsgi(plain_wsgi, {"/health": PUBLIC, "/orders/**": scope("a")}))
        token = list(bearer(authority.access_token(scope="a")).items())

        assert ask(path="/health").body == b"nobody"
        assert ask(path="/orders/1", headers=token).body == b"application client"
        assert ask(path="/ordersx", headers=token).status == 403
        assert ask(path="", headers=token).status == 403

    def test_a_remembered_token_needs_no_loop(
        self, gated: Gated, authority: FakeAuthority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ask = ask_wsgi(gated().wrap_wsgi(plain_wsgi, {"/orders": scope("a")}))
        token = list(bearer(authority.access_token(scope="a")).items())
        other = list(bearer(authority.access_token(scope="b")).items())
        assert [ask(headers=token).status, ask(headers=other).status] == [200, 403]

        def never(waiting: Any, limit: float) -> None:
            waiting.close()
            raise AssertionError("it waited")

        monkeypatch.setattr(entrances, "run", never)

        assert [ask(headers=token).status, ask(headers=other).status] == [200, 403]
        with pytest.raises(AssertionError, match="it waited"):
            ask(headers=bearer(authority.access_token(scope="a")).items())

    def test_a_token_is_remembered_for_a_minute_and_not_past_its_end(
        self, gated: Gated, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        ask = ask_wsgi(gated().wrap_wsgi(plain_wsgi, {"/orders": AUTHENTICATED}))
        token = list(bearer(authority.access_token()).items())
        assert ask(headers=token).status == 200
        authority.rotate_key(keep_old=False)
        clock.advance(timedelta(minutes=11))

        assert ask(headers=token).status == 401

    def test_a_token_that_was_taken_back_is_not_remembered(
        self, gated: Gated, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        denied = MemoryDenyList()
        ask = ask_wsgi(gated(deny_list=denied).wrap_wsgi(plain_wsgi, {"/orders": AUTHENTICATED}))
        token = list(bearer(authority.access_token()).items())
        assert ask(headers=token).status == 200
        now = clock.timestamp()
        denied.deny_subject(authority.issuer, "client", issued_before=now + 1, until=now + 600)

        assert ask(headers=token).status == 401

    def test_a_remembered_unbound_token_is_refused_where_all_must_be_bound(
        self, gated: Gated, authority: FakeAuthority
    ) -> None:
        ask = ask_wsgi(
            gated(dpop=DPoP(required=True)).wrap_wsgi(plain_wsgi, {"/orders": AUTHENTICATED})
        )
        token = list(bearer(authority.access_token()).items())

        assert [ask(headers=token).status for _ in range(2)] == [401, 401]

    def test_a_check_of_an_object(self, gated: Gated, authority: FakeAuthority) -> None:
        async def owns(caller: Caller, order: str) -> bool:
            return order == f"of {caller.subject}"

        gate, seen = gated(), list[Caller]()

        def keep(environ: Any, start_response: Any) -> list[bytes]:
            seen.append(environ["mintmark.caller"])
            return plain_wsgi(environ, start_response)

        ask = ask_wsgi(gate.wrap_wsgi(keep, {"/orders": AUTHENTICATED}))
        ask(headers=bearer(authority.access_token(sub="alice")).items())
        policy = scope("a") | rule("owns it", owns)

        assert gate.require_allowed_now(policy, seen[0], "of alice") is seen[0]
        with pytest.raises(Refused):
            gate.require_allowed_now(policy, seen[0], "of bob")
        with pytest.raises(Refused):
            gate.require_allowed_now(scope("a"), seen[0])

    def test_a_proof_names_the_target_as_it_was_sent(
        self, gated: Gated, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        """RFC 9449 §4.2: `%2F` is no slash."""
        key = SigningKey.generate(Algorithm.ES256)
        token = authority.access_token(extra={"cnf": {"jkt": key.public.thumbprint()}})
        ask = ask_wsgi(gated(dpop=DPoP()).wrap_wsgi(plain_wsgi, {"/**": AUTHENTICATED}))

        def status(htu: str) -> int:
            proof = make_proof(
                key, access_token=token, htm="GET", htu=f"{API}{htu}", now=clock.now()
            )
            headers = [("authorization", f"DPoP {token.reveal()}"), ("dpop", proof.reveal())]
            return ask(path="/a/b", headers=headers, RAW_URI="/a%2Fb?c=d").status

        assert [status("/a%2Fb"), status("/a/b")] == [200, 401]


def certificate() -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "client")])
    begin = datetime(2025, 12, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(begin).not_valid_after(begin + timedelta(days=365))
    return builder.sign(key, hashes.SHA256())


class TestS41Certificates:
    """RFC 8705 §3, with the names of mod_ssl."""

    def test_s41_only_the_right_one_and_only_if_it_was_verified(
        self, gated: Gated, authority: FakeAuthority
    ) -> None:
        own, other = certificate(), certificate()
        thumbprint = certificate_thumbprint(own.public_bytes(Encoding.DER))
        token = authority.access_token(extra={"cnf": {"x5t#S256": thumbprint}})
        gate = gated(client_certificate=ClientCertificate.from_tls())
        ask = ask_wsgi(gate.wrap_wsgi(plain_wsgi, {"/orders": AUTHENTICATED}))

        def status(shown: x509.Certificate | None, verified: str | None) -> int:
            more: dict[str, Any] = {}
            if shown is not None:
                more["SSL_CLIENT_CERT"] = shown.public_bytes(Encoding.PEM).decode()
            if verified is not None:
                more["SSL_CLIENT_VERIFY"] = verified
            return ask(headers=bearer(token).items(), **more).status

        assert [status(own, None), status(own, "SUCCESS"), status(own, "FAILED:x")] == [
            200,
            200,
            401,
        ]
        assert [status(other, "SUCCESS"), status(None, "NONE")] == [401, 401]
        assert status(None, None) == 503  # a server that never says

    def test_no_header_can_be_a_certificate(self) -> None:
        environ = environ_of("GET", "/", [("ssl-client-cert", "x"), ("ssl_client_cert", "x")])

        assert scope_of(environ)["extensions"] == {}


class TestLimits:
    def test_r7_a_rule_that_never_ends_is_called_off(
        self, gated: Gated, authority: FakeAuthority
    ) -> None:
        import asyncio

        ended = threading.Event()

        async def hangs(caller: Caller) -> bool:
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()
            return True

        entrance = Entrance(gated(), limit=0.2)
        headers = [(k.encode(), v.encode()) for k, v in bearer(authority.access_token()).items()]
        request = {"type": "http", "method": "GET", "path": "/", "headers": headers}
        with pytest.raises(Refused) as refused:
            entrance.require_let_in_now(request, rule("hangs", hangs))

        assert refused.value.answer.status == 503
        assert ended.wait(5)

    def test_a_rule_cannot_wait_for_itself(self, gated: Gated) -> None:
        async def nothing() -> None:
            """Never run."""

        async def asks() -> None:
            run(nothing())

        with pytest.raises(RuntimeError, match="without awaiting"):
            run(asks())


class TestStreams:
    def test_g7_an_event_stream_is_over_at_the_first_event_after_the_tokens_end(
        self, gated: Gated, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        def stream(kind: str) -> Any:
            def app(environ: Any, start_response: Any) -> Iterator[bytes]:
                start_response("200 OK", [("Content-Type", kind)])
                yield b"1"
                clock.advance(timedelta(hours=1))
                yield b"2"

            return app

        token = list(bearer(authority.access_token()).items())
        events = gated().wrap_wsgi(stream("text/event-stream"), {"/orders": AUTHENTICATED})
        assert ask_wsgi(events)(headers=token).body == b"1"

        token = list(bearer(authority.access_token()).items())
        download = gated().wrap_wsgi(stream("application/zip"), {"/orders": AUTHENTICATED})
        assert ask_wsgi(download)(headers=token).body == b"12"


@contextmanager
def serving(app: Any) -> Iterator[str]:
    class Silent(WSGIRequestHandler):
        def log(self, *_: Any, **__: Any) -> None:
            """Nothing."""

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Silent)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class TestServed:
    def test_d_eight_threads_at_a_cold_cache_fetch_the_keys_once(
        self, gated: Gated, authority: FakeAuthority
    ) -> None:
        app = gated().wrap_wsgi(plain_wsgi, {"/orders": scope("a")})
        tokens = [authority.access_token(scope="a", sub=f"user-{n}") for n in range(8)]
        together = threading.Barrier(8)

        def ask(url: str, number: int) -> list[str]:
            together.wait(10)
            with httpx2.Client() as http:
                return [
                    http.get(f"{url}/orders", headers=bearer(tokens[number])).text
                    for _ in range(10)
                ]

        with serving(app) as url, ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda number: ask(url, number), range(8)))

        assert found == [[f"delegated user-{n}"] * 10 for n in range(8)]
        assert authority.counts["jwks"] == 1

    def test_s20_two_headers_over_a_real_server(
        self, gated: Gated, authority: FakeAuthority
    ) -> None:
        app = gated(dpop=DPoP()).wrap_wsgi(plain_wsgi, {"/orders": AUTHENTICATED})
        value = bearer(authority.access_token())["authorization"]
        with serving(app) as url:
            twice = [("authorization", value), ("authorization", value)]
            refused = httpx2.get(f"{url}/orders", headers=twice)
            nothing = httpx2.get(f"{url}/orders")
            head = httpx2.head(f"{url}/orders")

        assert refused.status_code == 400
        assert len(nothing.headers.get_list("www-authenticate")) == 2
        assert (head.status_code, head.content) == (401, b"")


FORKING = """
import os, sys, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of exactly this
from tests.api.faces import ask_wsgi, plain_wsgi
from mintmark.api import Gate, scope
from mintmark.testing import FakeAuthority

with FakeAuthority().serve() as authority:
    gate = Gate(authority.audience, issuer=authority.issuer, insecure_allow_http_on_loopback=True)
    ask = ask_wsgi(gate.wrap_wsgi(plain_wsgi, {"/orders": scope("a")}))
    def status(): return ask(headers=[("authorization",
        "Bearer " + authority.access_token(scope="a").reveal())]).status
    if sys.argv[1] == "used":
        assert status() == 200
        authority.rotate_key()
        gate.clock = type("Later", (), {"timestamp": lambda self, c=gate.clock: c.timestamp() + 40})()
    child = os.fork()
    if child == 0:
        os._exit(0 if [status(), status()] == [200, 200] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


class TestForked:
    @pytest.mark.parametrize("before", ["loaded", "used"])
    def test_n8_a_forked_worker_has_a_loop_and_fetches_of_its_own(self, before: str) -> None:
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", FORKING, before], capture_output=True, text=True, timeout=60
        )

        assert done.returncode == 0, done.stderr
        assert time.monotonic() - begun < 14  # or somebody waited for a thread that is not there


BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"flask", "werkzeug", "django", "litestar", "fastapi",
                                      "starlette", "asgiref"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocker())
import mintmark.api
gate = mintmark.api.Gate("https://api.example", issuer="https://id.example")
gate.wrap(None, {"/": mintmark.api.PUBLIC})
gate.wrap_wsgi(None, {"/": mintmark.api.PUBLIC})
for face in ("flask", "django", "litestar", "fastapi", "starlette"):
    try:
        __import__("mintmark.api." + face)
    except ModuleNotFoundError:
        continue
    raise SystemExit(face)
gate.close()
"""


def test_the_guard_needs_no_framework() -> None:
    """The blocker is real: each face of a framework fails without it."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKED], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr + done.stdout
