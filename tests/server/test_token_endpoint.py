"""The token endpoint: who may ask, for what, and what is answered (RFC 6749 §3.2)."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.server.conftest import ISSUER, SECOND, Endpoint, claims_of, require_refusal

from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.protocol.access_token import check_access_token


class TestClientCredentials:
    """RFC 6749 §4.4, RFC 9068 §2.2, RFC 9068 §3, RFC 6750 §4."""

    async def test_a_token_is_made_for_the_client_itself(self, endpoint: Endpoint) -> None:
        answer = await endpoint.token(grant_type="client_credentials", scope="stock.read")

        body = answer.json()
        token = check_access_token(
            body["access_token"], issuer=ISSUER, audience="https://stock.example",
            keys=endpoint.server.keys.key_set, algorithms=ALL_ALGORITHMS, now=endpoint.clock.timestamp(),
        )  # fmt: skip
        assert (token.sub, token.client_id) == ("web", "web")
        assert token.scopes == {"stock.read"}
        assert (body["token_type"], body["expires_in"], body["scope"]) == (
            "Bearer",
            600,
            "stock.read",
        )
        assert "refresh_token" not in body
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["pragma"] == "no-cache"

    async def test_w10_a_token_has_the_scope_that_was_asked_for_and_no_more(
        self, endpoint: Endpoint
    ) -> None:
        """W-10: which client, and for what, stands in the token."""
        answer = await endpoint.token(grant_type="client_credentials", scope="orders.read")

        claims = claims_of(answer.json()["access_token"])
        assert (claims["client_id"], claims["scope"], claims["aud"]) == (
            "web",
            "orders.read",
            "https://orders.example",
        )

    @pytest.mark.parametrize(
        "scope", ["orders.delete", "openid", "offline_access", "orders.read orders.delete"]
    )
    async def test_a_scope_it_may_not_have_is_refused(self, endpoint: Endpoint, scope: str) -> None:
        require_refusal(
            await endpoint.token(grant_type="client_credentials", scope=scope), "invalid_scope"
        )

    async def test_several_apis_without_a_resource_are_ambiguous(self, endpoint: Endpoint) -> None:
        """RFC 9068 §3, RFC 8707 §2."""
        both = {"grant_type": "client_credentials", "scope": "orders.read stock.read"}

        require_refusal(await endpoint.token(**both), "invalid_target")
        chosen = await endpoint.token(**both, resource="https://stock.example")
        assert claims_of(chosen.json()["access_token"])["scope"] == "stock.read"
        require_refusal(
            await endpoint.token(**both, resource="https://other.example"), "invalid_target"
        )

    async def test_a_public_client_has_no_token_of_its_own(self, endpoint: Endpoint) -> None:
        answer = await endpoint.token(None, grant_type="client_credentials", client_id="phone")

        require_refusal(answer, "unauthorized_client")


class TestClientAuthentication:
    """RFC 6749 §2.3, RFC 6749 §5.2: one answer for whatever was wrong."""

    async def test_both_live_secrets_work(self, endpoint: Endpoint) -> None:
        for name in ("WEB", "WEB_OLD"):
            endpoint.secrets = {**endpoint.secrets, "WEB": endpoint.secrets[name]}
            answer = await endpoint.token(grant_type="client_credentials", scope="stock.read")
            assert answer.status_code == 200

    async def test_a_posted_secret_works_for_who_registered_it(self, endpoint: Endpoint) -> None:
        form = {"grant_type": "client_credentials", "client_secret": endpoint.secrets["POSTING"]}

        assert (await endpoint.token(None, client_id="posting", **form)).status_code == 200

    @pytest.mark.parametrize(
        "form",
        [
            {"client_id": "web", "client_secret": "wrong"},
            {"client_id": "nobody", "client_secret": "wrong"},
            {"client_id": "web"},
            {"client_id": "posting"},
            {},
        ],
    )
    async def test_a_failed_post_is_answered_without_a_challenge(
        self, endpoint: Endpoint, form: dict[str, str]
    ) -> None:
        answer = await endpoint.token(None, grant_type="client_credentials", **form)

        require_refusal(answer, "invalid_client", 401)
        assert "www-authenticate" not in answer.headers

    @pytest.mark.parametrize("client_id", ["web", "nobody", "posting"])
    async def test_a_failed_header_is_answered_with_one(
        self, endpoint: Endpoint, client_id: str
    ) -> None:
        endpoint.secrets = {client_id.upper(): "wrong-secret-of-some-length-anyway"}

        answer = await endpoint.token(client_id, grant_type="client_credentials")

        require_refusal(answer, "invalid_client", 401)
        assert answer.headers["www-authenticate"] == 'Basic realm="token"'
        assert answer.json()["error_description"] == "client authentication failed"

    async def test_the_right_method_of_another_client_is_refused(self, endpoint: Endpoint) -> None:
        form = {"client_id": "web", "client_secret": endpoint.secrets["WEB"]}

        require_refusal(
            await endpoint.token(None, grant_type="client_credentials", **form),
            "invalid_client",
            401,
        )

    async def test_two_methods_at_once_are_refused(self, endpoint: Endpoint) -> None:
        answer = await endpoint.token(
            grant_type="client_credentials", client_secret=endpoint.secrets["WEB"]
        )

        require_refusal(answer, "invalid_request")

    async def test_guessing_is_slowed_down_and_forgiven(self, endpoint: Endpoint) -> None:
        right = endpoint.secrets
        for _ in range(20):
            endpoint.secrets = {"WEB": "wrong-secret-of-some-length-anyway"}
            await endpoint.token(grant_type="client_credentials")
        endpoint.secrets = right

        require_refusal(
            await endpoint.token(grant_type="client_credentials", scope="stock.read"),
            "invalid_client",
            401,
        )
        endpoint.clock.advance(timedelta(seconds=59))
        require_refusal(
            await endpoint.token(grant_type="client_credentials", scope="stock.read"),
            "invalid_client",
            401,
        )
        endpoint.clock.advance(SECOND)
        assert (
            await endpoint.token(grant_type="client_credentials", scope="stock.read")
        ).status_code == 200


class TestRequests:
    """RFC 6749 §3.2, RFC 9110 §15.5.6, RFC 9700 §2.4."""

    @pytest.mark.parametrize(
        "grant_type",
        [
            "password",
            "implicit",
            "urn:ietf:params:oauth:grant-type:saml2-bearer",
            "CLIENT_CREDENTIALS",
        ],
    )
    async def test_s48_other_grants_are_not_offered(
        self, endpoint: Endpoint, grant_type: str
    ) -> None:
        answer = await endpoint.token(
            grant_type=grant_type, username="alice", password="wonderland"
        )

        require_refusal(answer, "unsupported_grant_type")

    async def test_a_grant_of_another_client_is_refused(self, endpoint: Endpoint) -> None:
        form = {"client_id": "posting", "client_secret": endpoint.secrets["POSTING"]}
        answer = await endpoint.token(
            None, grant_type="authorization_code", code="c", redirect_uri="u", **form
        )

        require_refusal(answer, "unauthorized_client")

    async def test_bad_requests_are_named(self, endpoint: Endpoint) -> None:
        headers = endpoint.headers()
        http = endpoint.http
        form = "application/x-www-form-urlencoded"

        require_refusal(await http.post("/token", headers=headers, json={}), "invalid_request")
        require_refusal(
            await http.post("/token?a=b", headers=headers, data={"grant_type": "x"}),
            "invalid_request",
        )
        twice = {**headers, "content-type": form}
        require_refusal(
            await http.post("/token", headers=twice, content="grant_type=a&grant_type=a"),
            "invalid_request",
        )
        require_refusal(await http.post("/token", headers=headers, data={}), "invalid_request")
        large = await http.post("/token", headers=twice, content=b"a" * 70_000)
        require_refusal(large, "invalid_request", 413)
        wrong = await http.get("/token")
        assert (wrong.status_code, wrong.headers["allow"]) == (405, "OPTIONS, POST")

    @settings(
        deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(
        st.dictionaries(
            st.sampled_from(
                [
                    "grant_type",
                    "code",
                    "scope",
                    "resource",
                    "refresh_token",
                    "client_id",
                    "redirect_uri",
                ]
            ),
            st.sampled_from(["client_credentials", "refresh_token", "authorization_code"])
            | st.text(max_size=20),
        )
    )
    async def test_no_parameters_make_it_fall_over(
        self, endpoint: Endpoint, form: dict[str, Any]
    ) -> None:
        try:
            answer = await endpoint.token(**form)
        except UnicodeEncodeError:
            return
        assert answer.status_code in {200, 400, 401}
        assert "error" in answer.json() or "access_token" in answer.json()
