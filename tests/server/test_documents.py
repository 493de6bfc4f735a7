"""What the server publishes, and who is told about a person."""

import pytest
from tests.server.conftest import ISSUER, Endpoint
from tests.server.events import Recorded

from mintmark.jose.key_set import KeySet
from mintmark.server.asgi import MachineEndpoints, Route
from mintmark.server.stores import StoreUnavailable


class TestPublished:
    """RFC 8414 §2, RFC 9110 §8.8.3, RFC 9110 §13.1.2."""

    async def test_both_documents_say_the_same_and_nothing_untrue(self, endpoint: Endpoint) -> None:
        one = await endpoint.http.get("/.well-known/openid-configuration")
        other = await endpoint.http.get("/.well-known/oauth-authorization-server")

        body = one.json()
        assert one.content == other.content
        assert (body["issuer"], body["token_endpoint"]) == (ISSUER, ISSUER + "/token")
        assert body["code_challenge_methods_supported"] == ["S256"]
        assert body["response_types_supported"] == ["code"]
        assert "password" not in body["grant_types_supported"]
        assert body["authorization_response_iss_parameter_supported"] is True
        assert one.headers["access-control-allow-origin"] == "*"

    @pytest.mark.parametrize("path", ["/jwks", "/.well-known/openid-configuration"])
    async def test_who_has_it_already_is_not_sent_it_again(
        self, endpoint: Endpoint, path: str
    ) -> None:
        whole = await endpoint.http.get(path)
        etag = whole.headers["etag"]

        again = await endpoint.http.get(path, headers={"if-none-match": etag})
        head = await endpoint.http.head(path)

        assert (again.status_code, again.content) == (304, b"")
        assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", etag)
        assert (await endpoint.http.post(path)).status_code == 405

    async def test_the_keys_are_public_and_name_their_algorithm(self, endpoint: Endpoint) -> None:
        answer = await endpoint.http.get("/jwks")

        assert [key.kid for key in KeySet.parse(answer.content).keys] == [
            endpoint.server.keys.current().kid
        ]
        assert "d" not in answer.json()["keys"][0]


class TestUserInfo:
    """OIDC Core §5.3, OIDC Core §5.3.1, RFC 6750 §3.1."""

    async def test_who_may_know_is_told(self, endpoint: Endpoint) -> None:
        sign_in = await endpoint.sign_in("openid profile email orders.read")
        token = (await endpoint.exchange(sign_in)).json()["access_token"]

        for method in ("GET", "POST"):
            answer = await endpoint.http.request(
                method, "/userinfo", headers={"authorization": f"Bearer {token}"}
            )
            assert answer.json() == {
                "sub": "1-alice", "name": "Alice Liddell", "preferred_username": "alice",
                "email": "alice@wonderland.example",
            }  # fmt: skip
            assert answer.headers["cache-control"] == "no-store"

    async def test_everybody_else_is_challenged(self, endpoint: Endpoint) -> None:
        own = (await endpoint.token(grant_type="client_credentials", scope="stock.read")).json()[
            "access_token"
        ]
        cases = {
            None: (401, "Bearer"),
            "Basic eA==": (401, "Bearer"),
            "Bearer a b": (400, 'Bearer error="invalid_request"'),
            "Bearer a.b.c": (401, 'Bearer error="invalid_token"'),
            f"Bearer {own}": (403, 'Bearer error="insufficient_scope", scope="openid"'),
        }
        for header, (status, challenge) in cases.items():
            headers = {} if header is None else {"authorization": header}
            answer = await endpoint.http.get("/userinfo", headers=headers)
            challenges = answer.headers.get_list("www-authenticate")
            assert (answer.status_code, challenges[0]) == (status, challenge)
            # RFC 9449 §7.1
            assert challenges[1].startswith("DPoP ")


class TestFaults:
    """Whatever goes wrong inside, the answer is one that the standard knows."""

    @pytest.mark.parametrize(
        ("failure", "status", "error"),
        [
            (StoreUnavailable("full"), 503, "temporarily_unavailable"),
            (RuntimeError("secret-of-the-inside"), 500, "server_error"),
        ],
    )
    async def test_a_fault_is_answered_in_the_protocols_words(
        self, failure: Exception, status: int, error: str
    ) -> None:
        import httpx2

        async def broken(request: object) -> object:
            raise failure

        events = Recorded()
        app = MachineEndpoints({"/token": Route(broken, frozenset({"POST"}))}, events)  # type: ignore[arg-type]  # -- it never answers
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app), base_url=ISSUER
        ) as http:
            answer = await http.post("/token")

        assert (answer.status_code, answer.json()["error"]) == (status, error)
        assert "secret-of-the-inside" not in answer.text + repr(events.events)
        assert events.names() == ["request.failed"]
