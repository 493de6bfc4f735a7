"""The messages of both ends: read strictly, written so that they can be read."""

import contextlib
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.protocol.authorization import (
    AuthorizationRequest,
    AuthorizationResponse,
    Prompt,
    redirect_with,
    refusal_parameters,
)
from mintmark.protocol.challenge import parse_challenges, render_challenge
from mintmark.protocol.client_authentication import ClientCredential, basic_header
from mintmark.protocol.cookie import read_cookie, set_cookie
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import MAX_PARAMETERS, Form
from mintmark.protocol.logout import EndSessionRequest
from mintmark.protocol.message import HttpRequest, error_answer
from mintmark.protocol.metadata import (
    ServerMetadata,
    UnusableMetadata,
    oauth_metadata_url,
    openid_configuration_url,
)
from mintmark.protocol.pkce import challenge_of, make_verifier, parse_challenge, require_verifier
from mintmark.protocol.redirect_uri import parse_redirect_uri, require_registered
from mintmark.protocol.revocation import RevocationRequest
from mintmark.protocol.scope import format_scope, parse_scope, require_not_wider
from mintmark.protocol.token import (
    AuthorizationCodeRequest,
    ClientCredentialsRequest,
    RefreshTokenRequest,
    TokenResponse,
    UnreadableTokenResponse,
    encode_form,
)
from mintmark.secret import Secret

CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def refused(code: ErrorCode) -> Any:
    return pytest.raises(OAuthError, match=f"^{code.value}: ")


class TestForm:
    """RFC 6749 §3.1, RFC 6749 §3.2: each parameter once, empty ones absent."""

    def test_an_empty_parameter_is_absent(self) -> None:
        assert Form.parse("a=&b=1").optional("a", str) is None

    @pytest.mark.parametrize("encoded", ["a=1&a=2", "a=1&a=1", "unknown=1&unknown=2"])
    def test_a_repeated_parameter_is_refused(self, encoded: str) -> None:
        with refused(ErrorCode.INVALID_REQUEST):
            Form.parse(encoded)

    def test_resource_and_audience_may_repeat(self) -> None:
        """RFC 8707 §2, RFC 8693 §2.1."""
        assert Form.parse("resource=a&resource=b").every("resource") == ("a", "b")

    @pytest.mark.parametrize(
        "encoded", [b"\xff=1", b"a=%ff", "&".join(f"p{n}=1" for n in range(MAX_PARAMETERS + 1))]
    )
    def test_what_cannot_be_read_is_refused(self, encoded: bytes | str) -> None:
        with refused(ErrorCode.INVALID_REQUEST):
            Form.parse(encoded)

    def test_as_many_as_allowed_are_read(self) -> None:
        assert (
            len(Form.parse("&".join(f"p{n}=1" for n in range(MAX_PARAMETERS))).values)
            == MAX_PARAMETERS
        )

    @given(st.binary(max_size=100))
    def test_nothing_foreign_leaves_it(self, octets: bytes) -> None:
        with contextlib.suppress(OAuthError):
            Form.parse(octets)


class TestScope:
    """RFC 6749 §3.3, RFC 6749 §6."""

    def test_order_does_not_matter(self) -> None:
        assert parse_scope("b a") == parse_scope("a b")
        assert format_scope(parse_scope("b a")) == "a b"

    @pytest.mark.parametrize(
        "text", ["", " a", "a ", "a  b", "a\tb", 'a"b', "a\\b", "ä", "a" * 4097]
    )
    def test_what_is_no_scope_is_refused(self, text: str) -> None:
        with refused(ErrorCode.INVALID_SCOPE):
            parse_scope(text)

    def test_narrower_is_allowed_and_wider_is_not(self) -> None:
        granted = parse_scope("a b")

        assert require_not_wider(None, granted) == granted
        assert require_not_wider(parse_scope("a"), granted) == {"a"}
        with refused(ErrorCode.INVALID_SCOPE):
            require_not_wider(parse_scope("a c"), granted)


class TestPkce:
    """RFC 7636 §4.1, RFC 7636 §4.2, RFC 7636 §4.6; the pair is that of Appendix B."""

    VERIFIER = Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")

    def test_the_example_comes_out(self) -> None:
        assert challenge_of(self.VERIFIER) == CHALLENGE
        assert require_verifier(self.VERIFIER, CHALLENGE) is self.VERIFIER
        fresh = make_verifier()
        assert require_verifier(fresh, challenge_of(fresh)) is fresh

    @pytest.mark.parametrize(
        "verifier", [None, Secret("a" * 43), Secret("a" * 42), Secret("ä" * 43), Secret("a" * 129)]
    )
    def test_any_other_verifier_is_refused_alike(self, verifier: Secret | None) -> None:
        with refused(ErrorCode.INVALID_GRANT):
            require_verifier(verifier, CHALLENGE)

    @pytest.mark.parametrize("text", ["", "a" * 42, "a" * 44, "a" * 42 + "+"])
    def test_what_is_no_challenge_is_refused(self, text: str) -> None:
        with refused(ErrorCode.INVALID_REQUEST):
            parse_challenge(text)


class TestRedirectUri:
    """RFC 9700 §2.1: exact; RFC 8252 §7.3: any port on loopback; RFC 8252 §8.4."""

    @pytest.mark.parametrize(
        "uri",
        [
            "https://a.example/cb",
            "http://127.0.0.1/cb",
            "http://localhost:1/cb",
            "com.example.app:/cb",
        ],
    )
    def test_a_sound_one_may_be_registered(self, uri: str) -> None:
        assert parse_redirect_uri(uri) == uri
        assert require_registered(uri, {uri}) == uri

    @pytest.mark.parametrize(
        "uri",
        ["/cb", "https://a.example/#f", "https://u@a.example/", "http://a.example/", "javascript:x", "https:///cb",
         "https://a.example/ b", "https://a.example\\@b.example", "data:text/html,x", "https://ä.example/"],
    )  # fmt: skip
    def test_an_unsound_one_may_not(self, uri: str) -> None:
        """RFC 6749 §3.1.2."""
        with pytest.raises(ValueError, match=r"redirect URI|scheme"):
            parse_redirect_uri(uri)

    @pytest.mark.parametrize(
        ("asked", "allowed"),
        [
            ("http://127.0.0.1:5000/cb", True), ("http://127.0.0.1:5000/cbx", False), ("http://127.0.0.1:0x/cb", False),
            ("http://127.0.0.1.evil.example:1/cb", False), ("http://localhost:5000/cb", False),
            ("https://a.example/cb?x=1", False), ("https://a.example/CB", False), ("https://a.example/cb/", False),
            ("http://127.0.0.1:1@evil.example/cb", False),
        ],
    )  # fmt: skip
    def test_only_the_port_on_loopback_is_free(self, asked: str, *, allowed: bool) -> None:
        registered = {"http://127.0.0.1/cb", "https://a.example/cb"}

        if allowed:
            assert require_registered(asked, registered) == asked
        else:
            with refused(ErrorCode.INVALID_REQUEST):
                require_registered(asked, registered)


class TestClientAuthentication:
    """RFC 6749 §2.3, RFC 6749 §2.3.1, RFC 7591 §2, RFC 9110 §11.1."""

    @given(st.text(min_size=1, max_size=20), st.text(max_size=20))
    def test_what_is_written_is_read(self, client_id: str, client_secret: str) -> None:
        try:
            header = basic_header(client_id, Secret(client_secret))
        except UnicodeEncodeError:
            return
        read = ClientCredential.parse(header.replace("Basic", "bAsIc"), Form.parse(""))

        assert read.client_id == client_id
        assert read.client_secret == Secret(client_secret)

    def test_a_posted_secret_and_no_secret_are_read(self) -> None:
        assert (
            ClientCredential.parse(None, Form.parse("client_id=a&client_secret=b")).method
            == "client_secret_post"
        )
        assert ClientCredential.parse(None, Form.parse("client_id=a")).method == "none"

    @pytest.mark.parametrize(
        ("header", "form", "code"),
        [
            (None, "", ErrorCode.INVALID_CLIENT),
            ("Bearer x", "", ErrorCode.INVALID_CLIENT),
            ("Basic !!!", "", ErrorCode.INVALID_CLIENT),
            ("Basic " + "YQ==", "", ErrorCode.INVALID_CLIENT),
            ("Basic /w==", "", ErrorCode.INVALID_CLIENT),
            ("Basic YTpi", "client_secret=b", ErrorCode.INVALID_REQUEST),
            ("Basic YTpi", "client_id=other", ErrorCode.INVALID_REQUEST),
        ],
    )
    def test_two_or_none_or_unreadable_is_refused(
        self, header: str | None, form: str, code: ErrorCode
    ) -> None:
        with refused(code):
            ClientCredential.parse(header, Form.parse(form))


class TestTokenMessages:
    """RFC 6749 §4, RFC 6749 §4.1.3, RFC 6749 §4.4.2, RFC 6749 §5.1, RFC 6749 §6, RFC 6749 §7.1."""

    @pytest.mark.parametrize(
        "request_",
        [
            AuthorizationCodeRequest(
                code=Secret("c"), redirect_uri="u", code_verifier=Secret("v"), resource=("r",)
            ),
            RefreshTokenRequest(
                refresh_token=Secret("t"), scope=frozenset({"a", "b"}), resource=("r", "s")
            ),
            ClientCredentialsRequest(scope=frozenset({"a"}), resource=("r",)),
            ClientCredentialsRequest(),
        ],
    )
    def test_a_request_survives_the_wire(self, request_: Any) -> None:
        form = Form.parse(encode_form(request_.parameters()))

        assert type(request_).parse(form) == request_
        assert form.required("grant_type", str) == request_.grant_type

    def test_a_response_survives_the_wire(self) -> None:
        response = TokenResponse(
            access_token=Secret("a"), token_type="Bearer", expires_in=timedelta(seconds=5),
            refresh_token=Secret("r"), id_token=Secret("i"), scope=frozenset({"x"}),
        )  # fmt: skip

        assert TokenResponse.parse(response.to_json()) == response

    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b"<html>", b"{}", b'{"access_token":5,"token_type":"Bearer"}', b'{"access_token":"a"}',
         *(b'{"access_token":"a","token_type":"Bearer","expires_in":%s}' % value
           for value in (b"0", b"-1", b'"soon"', b"true", b"[]", b"1e300"))],
    )  # fmt: skip
    def test_w18_an_unusable_response_is_refused(self, body: bytes) -> None:
        """A lifetime of nothing would be fetched again for every call."""
        with pytest.raises(UnreadableTokenResponse):
            TokenResponse.parse(body)

    @pytest.mark.parametrize(("value", "seconds"), [(b'"600"', 600), (b"600", 600), (b"0.5", 0.5)])
    def test_digits_in_a_string_are_a_lifetime_too(self, value: bytes, seconds: float) -> None:
        body = b'{"access_token":"a","token_type":"Bearer","expires_in":%s}' % value

        assert TokenResponse.parse(body).expires_in == timedelta(seconds=seconds)

    @given(st.binary(max_size=80))
    def test_nothing_foreign_leaves_the_reader(self, body: bytes) -> None:
        with pytest.raises(UnreadableTokenResponse):
            TokenResponse.parse(body)

    def test_a_revocation_survives_the_wire(self) -> None:
        """RFC 7009 §2.1, RFC 7009 §2.2.1."""
        wanted = RevocationRequest(token=Secret("t"), token_type_hint="refresh_token")

        assert RevocationRequest.parse(Form.parse(encode_form(wanted.parameters()))) == wanted

    def test_a_logout_survives_the_wire(self) -> None:
        wanted = EndSessionRequest(
            id_token_hint=Secret("i"),
            client_id="c",
            post_logout_redirect_uri="u",
            state=Secret("s"),
        )

        assert EndSessionRequest.parse(Form.parse(encode_form(wanted.parameters()))) == wanted


class TestAuthorization:
    """RFC 6749 §4.1, RFC 6749 §4.1.2.1, OIDC Core §3.1.2, OIDC Core §3.1.2.1, OIDC Core §3.1.2.6, RFC 9207 §2."""

    BASE = f"response_type=code&client_id=c&redirect_uri=u&code_challenge={CHALLENGE}&code_challenge_method=S256"

    def test_a_request_survives_the_wire(self) -> None:
        request = AuthorizationRequest(
            client_id="c", redirect_uri="u", scope=frozenset({"openid", "a"}), state=Secret("s"), nonce=Secret("n"),
            code_challenge=CHALLENGE, resource=("https://r.example",), prompt=frozenset({Prompt.LOGIN, Prompt.CONSENT}),
            max_age=timedelta(seconds=0), login_hint="alice", ui_locales="de",
        )  # fmt: skip

        assert AuthorizationRequest.parse(Form.parse(encode_form(request.parameters()))) == request

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ("&code_challenge_method=plain", ErrorCode.INVALID_REQUEST),
            ("&request=x", ErrorCode.REQUEST_NOT_SUPPORTED),
            ("&request_uri=x", ErrorCode.REQUEST_URI_NOT_SUPPORTED),
            ("&registration=x", ErrorCode.REGISTRATION_NOT_SUPPORTED),
            ("&prompt=none+login", ErrorCode.INVALID_REQUEST),
            ("&prompt=dance", ErrorCode.INVALID_REQUEST),
            ("&max_age=-1", ErrorCode.INVALID_REQUEST),
            ("&max_age=x", ErrorCode.INVALID_REQUEST),
            ("&scope=a++b", ErrorCode.INVALID_SCOPE),
            ("&response_mode=fragment", ErrorCode.INVALID_REQUEST),
            ("&response_type=token", ErrorCode.UNSUPPORTED_RESPONSE_TYPE),
            ("&state=" + "s" * 2049, ErrorCode.INVALID_REQUEST),
        ],
    )
    def test_what_is_not_offered_is_named(self, change: str, code: ErrorCode) -> None:
        """RFC 9700 §2.1.1 for the challenge."""
        name = change[1:].partition("=")[0]
        base = "&".join(part for part in self.BASE.split("&") if not part.startswith(name + "="))

        with refused(code):
            AuthorizationRequest.parse(Form.parse(base + change))

    @pytest.mark.parametrize(
        "missing",
        ["response_type", "client_id", "redirect_uri", "code_challenge", "code_challenge_method"],
    )
    def test_what_is_required_is_missed(self, missing: str) -> None:
        base = "&".join(part for part in self.BASE.split("&") if not part.startswith(missing + "="))

        with refused(ErrorCode.INVALID_REQUEST):
            AuthorizationRequest.parse(Form.parse(base))

    def test_a_response_is_a_code_or_an_error(self) -> None:
        response = AuthorizationResponse(state=Secret("s"), iss="i", code=Secret("c"))
        query = encode_form(response.parameters()).decode()
        assert AuthorizationResponse.parse(query) == response

        for neither in ("state=s", "code=c&error=e", ""):
            with refused(ErrorCode.INVALID_REQUEST):
                AuthorizationResponse.parse(neither)

    def test_a_refusal_goes_back_with_state_and_issuer(self) -> None:
        error = OAuthError(ErrorCode.ACCESS_DENIED, "no", reason="inside")

        url = redirect_with(
            "https://a.example/cb?x=1", refusal_parameters(error, Secret("s"), "https://id.example")
        )

        assert (
            url
            == "https://a.example/cb?x=1&error=access_denied&error_description=no&state=s&iss=https%3A%2F%2Fid.example"
        )
        assert redirect_with("https://a.example/", []) == "https://a.example/"


class TestMetadata:
    """RFC 8414 §3.1, RFC 8414 §3.3, OIDC Discovery §3, OIDC Discovery §4.1, OIDC Discovery §4.3."""

    def test_it_survives_the_wire(self) -> None:
        metadata = ServerMetadata(
            issuer="https://id.example",
            token_endpoint="https://id.example/token",
            request_uri_parameter_supported=False,
        )

        assert ServerMetadata.parse(metadata.to_json(), issuer="https://id.example") == metadata
        assert b"request_uri_parameter_supported" in metadata.to_json()

    @pytest.mark.parametrize(
        "body", [b"", b"<html>", b"[]", b"{}", b'{"issuer":5}', b'{"issuer":"https://id.example/"}']
    )
    def test_another_issuers_document_is_refused(self, body: bytes) -> None:
        with pytest.raises(UnusableMetadata):
            ServerMetadata.parse(body, issuer="https://id.example")

    def test_the_two_addresses_differ_where_the_issuer_has_a_path(self) -> None:
        assert (
            openid_configuration_url("https://id.example/t/")
            == "https://id.example/t/.well-known/openid-configuration"
        )
        assert (
            oauth_metadata_url("https://id.example/t")
            == "https://id.example/.well-known/oauth-authorization-server/t"
        )


class TestChallenge:
    """RFC 6750 §3, RFC 9110 §5.6.2."""

    def test_what_is_written_is_read(self) -> None:
        text = render_challenge(
            "Bearer", [("realm", "https://a.example"), ("error", "invalid_token")]
        )

        assert text == 'Bearer realm="https://a.example", error="invalid_token"'
        (challenge,) = parse_challenges([text])
        assert challenge.is_for("bearer")
        assert challenge.parameters == {"realm": "https://a.example", "error": "invalid_token"}

    def test_nothing_can_end_a_value_early(self) -> None:
        assert render_challenge("Bearer", [("scope", 'a"\r\nx: \\ü')]) == 'Bearer scope="a???x: ??"'

    @pytest.mark.parametrize(
        ("values", "schemes"),
        [
            (['Basic realm="a, b=c", Bearer error="x\\"y"'], ["Basic", "Bearer"]),
            (["Negotiate abc==, Bearer"], ["Negotiate", "Bearer"]),
            (["Basic", 'DPoP algs="ES256"'], ["Basic", "DPoP"]),
            ([",, Bearer ,"], ["Bearer"]),
            (['"'], []),
            ([""], []),
        ],
    )
    def test_several_challenges_are_told_apart(self, values: list[str], schemes: list[str]) -> None:
        assert [challenge.scheme for challenge in parse_challenges(values)] == schemes

    @given(st.text(max_size=60))
    def test_reading_never_fails(self, text: str) -> None:
        assert isinstance(parse_challenges([text]), tuple)


class TestHttpMessages:
    """RFC 6749 §5.2 and the header that came twice; RFC 6265 §4 for cookies."""

    def test_a_header_that_came_twice_is_refused(self) -> None:
        request = HttpRequest(
            method="GET", path="/", headers=((b"a", b"1"), (b"b", b"2"), (b"b", b"3"))
        )

        assert request.header(b"a") == "1"
        assert request.header(b"c") is None
        with refused(ErrorCode.INVALID_REQUEST):
            request.header(b"b")

    @pytest.mark.parametrize(
        ("code", "status"),
        [(ErrorCode.INVALID_GRANT, 400), (ErrorCode.INVALID_CLIENT, 401), (ErrorCode.INSUFFICIENT_SCOPE, 403),
         (ErrorCode.TEMPORARILY_UNAVAILABLE, 503), (ErrorCode.SERVER_ERROR, 500), (ErrorCode.INVALID_TOKEN, 401)],
    )  # fmt: skip
    def test_a_refusal_is_not_cached_and_keeps_its_reason(
        self, code: ErrorCode, status: int
    ) -> None:
        answer = error_answer(OAuthError(code, "said", reason="kept"))

        assert answer.status == status
        assert (b"cache-control", b"no-store") in answer.headers
        assert b"said" in answer.body
        assert b"kept" not in answer.body

    def test_a_cookie_is_read_where_it_came_once(self) -> None:
        value = Secret.generate()
        pair = set_cookie("__Host-a", value).partition(";")[0].encode()

        assert read_cookie([(b"cookie", b"x=1; " + pair)], "__Host-a") == value
        for headers in (
            [(b"cookie", pair + b"; " + pair)],
            [(b"cookie", pair + b"x")],
            [(b"cookie", b"a=1")],
            [],
        ):
            assert read_cookie(headers, "__Host-a") is None
        assert "Secure; HttpOnly; SameSite=Lax" in set_cookie("__Host-a", value)
        assert "Max-Age=0" in set_cookie("__Host-a", None)
