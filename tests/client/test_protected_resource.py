"""From an API's 401 to its token server: RFC 9728 §3.1, §3.3, §5.1; RFC 8414 §3.1, §5."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.client.documents import POLICY, Documents, serving

from mintmark.client import (
    Authority,
    AuthorityUnavailable,
    Client,
    TokenRefused,
    discover_resource,
    require_pkce,
)
from mintmark.protocol.metadata import ServerMetadata, metadata_urls

PRM = "/.well-known/oauth-protected-resource"
OAUTH = "/.well-known/oauth-authorization-server"


@pytest.fixture
def documents() -> Iterator[Documents]:
    with serving() as made:
        yield made


def described(documents: Documents, path: str, **members: Any) -> dict[str, Any]:
    return {
        "resource": documents.url + path,
        "authorization_servers": [f"{documents.url}/tenant", "https://other.example"],
        "scopes_supported": ["files.read"],
        **members,
    }


def challenge(documents: Documents, **parameters: str) -> list[str]:
    parameters = {"resource_metadata": f"{documents.url}/described", **parameters}
    return ["Bearer " + ", ".join(f'{name}="{value}"' for name, value in parameters.items())]


class TestDiscovery:
    def test_where_the_challenge_says(self, documents: Documents) -> None:
        documents.put("/described", described(documents, "/mcp"))

        found = discover_resource(
            f"{documents.url}/mcp", challenge(documents, scope="files.write"), policy=POLICY
        )

        assert found.resource == f"{documents.url}/mcp"
        assert found.scope == {"files.write"}
        assert documents.asked == [("GET", "/described")]

    @pytest.mark.parametrize("place", [f"{PRM}/mcp", PRM])
    def test_without_a_word_where_it_has_to_be(self, documents: Documents, place: str) -> None:
        documents.put(place, described(documents, "/mcp" if place != PRM else ""))

        found = discover_resource(f"{documents.url}/mcp", policy=POLICY)

        assert found.resource == documents.url + ("/mcp" if place != PRM else "")
        assert found.scope == {"files.read"}

    def test_a_slash_at_the_end_is_no_other_resource(self, documents: Documents) -> None:
        documents.put(PRM, described(documents, "/"))

        assert discover_resource(f"{documents.url}/", policy=POLICY).resource.endswith("/")

    @pytest.mark.parametrize(
        "url",
        ["https://[", "https://[::1/", "", "x", "//h/p", "ftp://h/", "https://u@h/"],
    )
    def test_what_is_no_address_of_an_api_is_no_foreign_failure(self, url: str) -> None:
        with pytest.raises(AuthorityUnavailable):
            discover_resource(url, policy=POLICY)

    def test_nothing_anywhere(self, documents: Documents) -> None:
        with pytest.raises(TokenRefused) as refused:
            discover_resource(f"{documents.url}/mcp", policy=POLICY)

        assert refused.value.error == "no_resource_metadata"

    def test_a_server_that_is_down_is_no_answer(self, documents: Documents) -> None:
        documents.there["GET", f"{PRM}/mcp"] = lambda _body, _headers: (503, {})

        with pytest.raises(AuthorityUnavailable):
            discover_resource(f"{documents.url}/mcp", policy=POLICY)


class TestSomebodyElsesDocument:
    @pytest.mark.parametrize(
        "resource",
        ["https://bank.example/mcp", "/other", "/mc", "/mcp/deeper", "/mcp?x=1", "/mcp#x", "", "no address"],
    )  # fmt: skip
    def test_is_refused_wherever_it_lies(self, documents: Documents, resource: str) -> None:
        named = resource if resource[:1] not in ("/", "") else documents.url + resource
        documents.put("/described", {**described(documents, ""), "resource": named})

        with pytest.raises(TokenRefused) as refused:
            discover_resource(f"{documents.url}/mcp", challenge(documents), policy=POLICY)

        assert refused.value.error == "unusable_resource_metadata"

    def test_of_a_whole_host_only_the_hosts_own_place_may_speak(self, documents: Documents) -> None:
        documents.put(f"{PRM}/mcp", described(documents, ""))
        with pytest.raises(TokenRefused):
            discover_resource(f"{documents.url}/mcp", policy=POLICY)

        documents.put(PRM, described(documents, ""))
        told = challenge(documents, resource_metadata=f"{documents.url}{PRM}")

        assert discover_resource(f"{documents.url}/mcp", told, policy=POLICY).resource == (
            documents.url
        )

    @pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"resource": 1}', b"\xff"])
    def test_nor_is_one_that_cannot_be_read(self, documents: Documents, body: bytes) -> None:
        documents.put("/described", body)

        with pytest.raises(TokenRefused):
            discover_resource(f"{documents.url}/mcp", challenge(documents), policy=POLICY)

    def test_a_document_at_an_address_that_is_not_safe_is_not_fetched(
        self, documents: Documents
    ) -> None:
        told = challenge(documents, resource_metadata="http://169.254.169.254/latest")

        with pytest.raises(AuthorityUnavailable):
            discover_resource(f"{documents.url}/mcp", told, policy=POLICY)


class TestItsTokenServer:
    def test_the_first_that_is_trusted(self, documents: Documents) -> None:
        documents.put("/described", described(documents, "/mcp"))
        found = discover_resource(f"{documents.url}/mcp", challenge(documents), policy=POLICY)

        assert found.authority().issuer == f"{documents.url}/tenant"
        assert found.authority(["https://other.example"]).issuer == "https://other.example"
        with pytest.raises(TokenRefused, match="trusted"):
            found.authority(["https://id.example"])

    def test_an_issuer_with_a_path_is_looked_for_in_every_place(self, documents: Documents) -> None:
        issuer = f"{documents.url}/tenant"
        documents.put(f"{OAUTH}/tenant", {"issuer": issuer, "token_endpoint": f"{issuer}/token"})
        authority = Authority(issuer, policy=POLICY)

        assert authority.endpoint("token_endpoint") == f"{issuer}/token"
        assert documents.asked == [
            ("GET", "/tenant/.well-known/openid-configuration"), ("GET", f"{OAUTH}/tenant")
        ]  # fmt: skip
        authority.close()

    def test_the_places_and_their_order(self) -> None:
        assert metadata_urls("https://id.example") == (
            "https://id.example/.well-known/openid-configuration",
            "https://id.example/.well-known/oauth-authorization-server",
        )
        assert metadata_urls("https://id.example/t/") == (
            "https://id.example/t/.well-known/openid-configuration",
            "https://id.example/.well-known/oauth-authorization-server/t",
            "https://id.example/.well-known/openid-configuration/t",
        )

    def test_another_issuers_document_in_the_second_place_is_refused(
        self, documents: Documents
    ) -> None:
        documents.put(OAUTH, {"issuer": "https://id.example"})
        authority = Authority(documents.url, policy=POLICY)

        with pytest.raises(AuthorityUnavailable, match="another issuer"):
            authority.metadata()
        authority.close()

    @pytest.mark.parametrize("issuer", ["https://[", "https://[::1/", "", "//id.example"])
    def test_an_issuer_that_is_no_address_is_no_foreign_failure(
        self, documents: Documents, issuer: str
    ) -> None:
        documents.put(f"{PRM}/mcp", described(documents, "/mcp", authorization_servers=[issuer]))
        named = discover_resource(f"{documents.url}/mcp", policy=POLICY).authority(policy=POLICY)
        with pytest.raises(AuthorityUnavailable):
            named.metadata()
        named.close()

    @pytest.mark.parametrize(
        "page",
        ["javascript:alert(1)", "file:///etc/passwd", "calculator:", "http://id.example/authorize",
         "https://id.example/\x1b[2J", "https://id.example/\r\nset-cookie: a=b", "https://i/ --x"],
    )  # fmt: skip
    def test_nobodys_browser_is_sent_where_no_web_page_is(
        self, documents: Documents, page: str
    ) -> None:
        pages = {"authorization_endpoint": page, "end_session_endpoint": page}
        documents.put(OAUTH, {"issuer": documents.url, **pages})
        client = Client(Authority(documents.url, policy=POLICY), client_id="client")
        home = "https://app.example/home"
        with pytest.raises(AuthorityUnavailable, match="authorization_endpoint"):
            client.login(redirect_uri=home, scope="openid").begin()
        with pytest.raises(AuthorityUnavailable, match="end_session_endpoint"):
            client.logout_url(id_token=None, post_logout_redirect_uri=home)
        client.close()

    def test_but_to_a_page_of_the_servers(self, documents: Documents) -> None:
        page = "https://id.example/authorize?tenant=1"
        documents.put(OAUTH, {"issuer": documents.url, "authorization_endpoint": page})
        client = Client(Authority(documents.url, policy=POLICY), client_id="client")
        flow = client.login(redirect_uri="https://app.example/home", scope="openid")
        assert flow.begin().url.startswith(page + "&")
        client.close()

    def test_a_server_without_pkce_gets_nobody_sent_to_it(self) -> None:
        good = ServerMetadata(issuer="https://i", code_challenge_methods_supported=("S256",))
        assert require_pkce(good) is good
        with pytest.raises(TokenRefused, match="S256"):
            require_pkce(
                ServerMetadata(issuer="https://i", code_challenge_methods_supported=("plain",))
            )
