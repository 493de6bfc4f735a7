"""What may be in front of an API: attack list A (the request's shape), and the answers R0 to R8."""

import time
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from tests.api.conftest import API, REALM, bearer, who
from tests.jose import forge

from mintmark.api import AUTHENTICATED, PUBLIC, Gate
from mintmark.testing import FakeAuthority

Call = Callable[..., Any]

R1 = f'{REALM}, error="invalid_token"'
R2 = f'{REALM}, error="invalid_request"'


class TestS19NoCredentials:
    """R0: who sent nothing is told of no error (RFC 6750 §3.1, RFC 9110 §11.6.1)."""

    async def test_s19_a1_no_header_gets_a_bare_challenge(self, call: Call) -> None:
        answer = await call()

        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == REALM
        assert "error" not in answer.json()

    @pytest.mark.parametrize(
        "value",
        ["Basic YTpi", "Negotiate abc", "DPoP abc", "Unknown", "bearers abc", "Digest a=b"],
    )
    async def test_a3_a12_another_scheme_is_no_attempt_at_this_one(
        self, call: Call, value: str
    ) -> None:
        """RFC 9110 §11.6.2."""
        answer = await call({"authorization": value})

        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, REALM)

    async def test_a8_a9_a_token_in_the_address_or_the_body_is_not_read(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        """RFC 6750 §2.3, RFC 9700 §4.3.2: addresses are logged and remembered."""
        token = authority.access_token().reveal()
        in_query = await call(path=f"/orders?access_token={token}")
        in_body = await call(
            {"content-type": "application/x-www-form-urlencoded"},
            method="POST",
            content=f"access_token={token}".encode(),
        )

        assert [in_query.status_code, in_body.status_code] == [401, 401]
        assert in_query.headers["www-authenticate"] == REALM


class TestS20MalformedCredentials:
    """R2: 400 invalid_request."""

    @pytest.mark.parametrize(
        "value",
        [b"", b" ", b"Bearer", b"Bearer ", b"Bearer    ", b"bearer\t", b"Bearer a b",
         b"Bearer\tabc", b"Bearer  abc", b"Bearer abc ", b" Bearer abc", b"Bearer a, Bearer b",
         b"Bearer a,b", b"Bearer a\x00b", b"Bearer a\x7f", b"Bearer a\nb", b"Bearer abc\n",
         b"Bearer \xc3\xa9", b"Bearer \xff", b"Bearer =", b"Bearer a=b", b"Bearer a?"],
    )  # fmt: skip
    async def test_s20_a2_a5_a7_a10_b8_a_malformed_header(self, call: Call, value: bytes) -> None:
        answer = await call([(b"authorization", value)])

        assert (answer.status_code, answer.headers["www-authenticate"]) == (400, R2)
        assert answer.json()["error"] == "invalid_request"

    async def test_s20_a6_two_headers_are_refused_though_both_are_valid(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        value = f"Bearer {authority.access_token().reveal()}".encode()
        answer = await call([(b"authorization", value), (b"Authorization", value)])

        assert (answer.status_code, answer.headers["www-authenticate"]) == (400, R2)


class TestAccepted:
    """V-01: the scheme in any case, one blank, one token (RFC 6750 §2.1)."""

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
    async def test_v01_a4_the_scheme_in_any_case(
        self, call: Call, authority: FakeAuthority, scheme: str
    ) -> None:
        token = authority.access_token(sub="alice").reveal()
        answer = await call({"authorization": f"{scheme} {token}"})

        assert (answer.status_code, answer.text) == (200, "delegated alice")

    async def test_without_a_person_the_subject_is_the_client(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        """RFC 9068 §5: `sub` is the client itself then."""
        answer = await call(bearer(authority.access_token()))

        assert answer.text == "application client"

    async def test_a13_a_preflight_is_never_authenticated(self, call: Call) -> None:
        preflight = {"origin": "https://app.example", "access-control-request-method": "GET"}

        assert (await call(preflight, method="OPTIONS")).text == "nobody"
        assert (await call({"origin": "https://app.example"}, method="OPTIONS")).status_code == 401
        assert (await call(preflight, method="GET")).status_code == 401


class TestTheAnswer:
    """V-12: no detail beyond the error's name, and no redirect (RFC 9457 §3)."""

    async def test_v12_every_fault_of_a_token_has_the_same_answer(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        foreign = authority.access_token(aud=("https://other.example",))
        unsigned = authority.access_token().reveal().rpartition(".")[0] + "."
        random = "nonsense"
        answers = [await call(bearer(token)) for token in (foreign, unsigned, random)]

        assert {answer.status_code for answer in answers} == {401}
        assert {answer.headers["www-authenticate"] for answer in answers} == {R1}
        assert {answer.content for answer in answers} == {
            b'{"title":"Unauthorized","status":401,"error":"invalid_token"}'
        }

    async def test_refusals_are_problem_details_that_nobody_keeps(self, call: Call) -> None:
        answer = await call()

        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json() == {"title": "Unauthorized", "status": 401}

    async def test_a15_head_has_the_same_answer_without_a_body(self, call: Call) -> None:
        answer = await call(bearer("nonsense"), method="HEAD")

        assert (answer.status_code, answer.content) == (401, b"")
        assert answer.headers["www-authenticate"] == R1
        assert (await call(bearer("nonsense"), method="TRACE")).status_code == 401

    async def test_a11_a_header_too_long_for_a_token_is_not_read(self, call: Call) -> None:
        started = time.perf_counter()
        answer = await call([(b"authorization", b"Bearer " + b"a" * 1_048_576)])

        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, R1)
        assert time.perf_counter() - started < 1

    async def test_f21_nothing_of_a_token_reaches_the_challenge(
        self, call: Call, authority: FakeAuthority
    ) -> None:
        evil = 'x", error_uri="https://evil.example'
        token = forge.signed({"iss": evil, "aud": evil, "sub": "a\r\nset-cookie: b=c"})
        answer = await call(bearer(token))

        assert answer.headers["www-authenticate"] == R1
        assert "set-cookie" not in answer.headers
        assert authority.counts["metadata"] == 0


class TestA14WebSockets:
    """A handshake is refused before it is accepted."""

    async def run(self, gate: Gate, headers: list[tuple[bytes, bytes]], *, extension: bool) -> Any:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        async def accept(scope: Any, receive: Any, send: Any) -> None:
            del scope
            await receive()
            await send({"type": "websocket.accept"})

        extensions: dict[str, Any] = {"websocket.http.response": {}} if extension else {}
        scope = {
            "type": "websocket",
            "path": "/orders",
            "headers": headers,
            "extensions": extensions,
        }
        await gate.wrap(accept, {"/orders": AUTHENTICATED})(scope, receive, send)
        return sent

    async def test_a14_without_a_token_the_handshake_is_answered(self, gate: Gate) -> None:
        sent = await self.run(gate, [], extension=True)

        assert (sent[0]["type"], sent[0]["status"]) == ("websocket.http.response.start", 401)
        assert (b"www-authenticate", REALM.encode()) in sent[0]["headers"]

    async def test_a14_an_older_server_closes_with_1008(self, gate: Gate) -> None:
        sent = await self.run(gate, [(b"authorization", b"Bearer x")], extension=False)

        assert sent == [{"type": "websocket.close", "code": 1008}]

    async def test_a14_with_a_token_it_is_accepted(
        self, gate: Gate, authority: FakeAuthority
    ) -> None:
        value = f"Bearer {authority.access_token().reveal()}".encode()

        assert await self.run(gate, [(b"authorization", value)], extension=True) == [
            {"type": "websocket.accept"}
        ]


class TestPaths:
    """Deny by default: a path nobody spoke of lets nobody in."""

    @pytest.mark.parametrize(
        ("path", "status"),
        [("/orders", 200), ("/orders/1", 200), ("/orders/1/lines", 200), ("/public", 200),
         ("/ordersx", 403), ("/Orders", 403), ("/", 403), ("/public/x", 403),
         ("/orders/%2e%2e/admin", 403), ("/orders/%2e/x", 403)],
    )  # fmt: skip
    async def test_s27_m7_the_longest_rule_counts_and_silence_refuses(
        self, gate: Gate, authority: FakeAuthority, path: str, status: int
    ) -> None:
        app = gate.wrap(who, {"/orders/**": AUTHENTICATED, "/public": PUBLIC})
        headers = bearer(authority.access_token())
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url=API) as http:
            assert (await http.get(path, headers=headers)).status_code == status
            anonymous = (await http.get(path)).status_code

        assert anonymous == (200 if path == "/public" else 401)

    @pytest.mark.parametrize("path", ["orders", "/orders/*", "/**/x", "/a*b"])
    def test_a_rule_that_could_be_misread_is_refused(self, gate: Gate, path: str) -> None:
        with pytest.raises(ValueError, match="a rule is"):
            gate.wrap(who, {path: AUTHENTICATED})

    def test_s27_the_report_names_every_rule(self, gate: Gate) -> None:
        gate.wrap(who, {"/orders/**": AUTHENTICATED, "/health": PUBLIC})

        assert [line.split() for line in gate.report().splitlines()] == [
            ["/health", "PUBLIC"],
            ["/orders/**", "AUTHENTICATED"],
        ]
