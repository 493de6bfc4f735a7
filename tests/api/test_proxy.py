"""Under which address a request came in, and whose word on it counts."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.api.forwarded import parse_address, parse_node, read_forwarded
from mintmark.api.proxy import (
    FixedOrigin,
    Forwarding,
    OriginRefused,
    PublicOrigin,
    TrustedProxy,
    origin_for,
    request_uri,
)

API = "https://api.example"
PROXY = ("10.0.0.7", 41000)
STRANGER = ("203.0.113.9", 41000)


def scope(
    client: tuple[str, int] | None = PROXY, *headers: tuple[str, str], **more: Any
) -> dict[str, Any]:
    return {
        "type": "http", "scheme": "http", "path": "/orders", "raw_path": b"/orders",
        "root_path": "", "client": client,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers], **more,
    }  # fmt: skip


def forwarded(*values: str, client: tuple[str, int] | None = PROXY) -> dict[str, Any]:
    return scope(client, *(("forwarded", value) for value in values))


def x_forwarded(client: tuple[str, int] | None = PROXY, /, **said: str) -> dict[str, Any]:
    return scope(client, *((f"x-forwarded-{name}", value) for name, value in said.items()))


def refused(call: Callable[..., str], *arguments: Any) -> str:
    with pytest.raises(OriginRefused) as refusal:
        call(*arguments)
    return refusal.value.reason


@pytest.fixture
def standard() -> TrustedProxy:
    return TrustedProxy(["10.0.0.0/24"], forwarding=Forwarding.FORWARDED)


@pytest.fixture
def custom() -> TrustedProxy:
    return TrustedProxy(["10.0.0.0/24"], forwarding=Forwarding.X_FORWARDED)


class TestFixedOrigin:
    """One address, written down: nothing of the request moves it."""

    @pytest.mark.parametrize(
        ("written", "origin"),
        [
            (API, API),
            (f"{API}/", API),
            (f"{API}:443", API),
            ("https://API.example", API),
            ("https://api.example:8443", "https://api.example:8443"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]"),
        ],
    )
    def test_it_is_kept_in_one_spelling(self, written: str, origin: str) -> None:
        assert FixedOrigin(written).origin_of(scope()) == origin

    @pytest.mark.parametrize(
        "written",
        ["", "api.example", "http://api.example", "http://127.0.0.1:8000", f"{API}/orders",
         f"{API}?a=b", f"{API}#a", "https://me@api.example", "https://api.example:0",
         "https://api.example:70000", "https://", "urn:orders", "https://a b", "https://[::x]"],
    )  # fmt: skip
    def test_what_is_no_origin_is_refused_at_once(self, written: str) -> None:
        with pytest.raises(ValueError, match="origin"):
            FixedOrigin(written)

    def test_this_very_machine_may_do_without_tls_in_development(self) -> None:
        local = FixedOrigin("http://127.0.0.1:8000", insecure_allow_http_on_loopback=True)

        assert local.origin_of(scope()) == "http://127.0.0.1:8000"

    @pytest.mark.parametrize(
        "name", ["host", "forwarded", "x-forwarded-host", "x-forwarded-proto", "x-original-host"]
    )
    @pytest.mark.parametrize("client", [PROXY, ("127.0.0.1", 5000), None])
    def test_j16_no_header_moves_it(self, name: str, client: tuple[str, int] | None) -> None:
        forged = scope(client, (name, "host=evil.example;proto=https"))

        assert FixedOrigin(API).origin_of(forged) == API
        assert FixedOrigin(API).vouched_headers(forged) == ()

    def test_the_client_is_who_is_connected(self) -> None:
        forged = x_forwarded(STRANGER, **{"for": "192.0.2.1"})

        assert FixedOrigin(API).client_address(forged) == STRANGER[0]
        assert FixedOrigin(API).client_address(scope(None)) == "unknown"


class TestWithoutConfiguration:
    """The API's own identifier, or a refusal to start: `Host` is the caller's to choose."""

    def test_an_https_identifier_is_the_origin(self) -> None:
        assert origin_for(f"{API}/orders", None).origin_of(scope()) == API

    def test_what_was_configured_counts_more(self) -> None:
        given_origin = FixedOrigin("https://other.example")

        assert origin_for(API, given_origin) is given_origin

    @pytest.mark.parametrize("resource", ["orders", "urn:orders", "http://api.example", ""])
    def test_j16_another_identifier_needs_an_origin(self, resource: str) -> None:
        with pytest.raises(ValueError, match="FixedOrigin or TrustedProxy"):
            origin_for(resource, None)

    def test_a_demo_without_tls_has_an_origin_when_it_says_so(self) -> None:
        origin = origin_for("http://localhost:9", None, insecure_allow_http_on_loopback=True)

        assert origin.origin_of(scope()) == "http://localhost:9"

    def test_j16_a_proxy_that_says_nothing_is_refused(self) -> None:
        with pytest.raises(ValueError, match="needs `origin`"):
            TrustedProxy(["10.0.0.0/24"])

    @pytest.mark.parametrize(
        "peers", [[], ["0.0.0.0/0"], ["::/0"], ["10.0.0.1/8"], ["proxy.example"], ["10.0.0"]]
    )
    def test_networks_that_cannot_be_meant_are_refused(self, peers: list[str]) -> None:
        with pytest.raises(ValueError):
            TrustedProxy(peers, origin=API)

    def test_one_text_is_no_list_of_networks(self) -> None:
        with pytest.raises(TypeError):
            TrustedProxy("10.0.0.0/24", origin=API)


class TestPeer:
    """Only what comes over a connection from a trusted address is believed."""

    @pytest.mark.parametrize(
        ("address", "trusted"),
        [
            ("10.0.0.0", True), ("10.0.0.255", True), ("9.255.255.255", False),
            ("10.0.1.0", False), ("::ffff:10.0.0.7", True), ("::ffff:10.0.1.7", False),
            ("2001:db8::1", True), ("2001:db9::1", False), ("", False), ("testclient", False),
            ("10.0.0.7.", False),
        ],
    )  # fmt: skip
    def test_the_network_ends_where_it_ends(self, address: str, *, trusted: bool) -> None:
        proxy = TrustedProxy(["10.0.0.0/24", "2001:db8::/32"], origin=API)
        request = scope((address, 41000), ("a", "b"))

        assert bool(proxy.vouched_headers(request)) == trusted

    def test_a_connection_without_an_address_is_trusted_only_by_name(self) -> None:
        request = scope(None, ("a", "b"))

        assert TrustedProxy(["10.0.0.0/24"], origin=API).vouched_headers(request) == ()
        assert TrustedProxy(["unix"], origin=API).vouched_headers(request) == [(b"a", b"b")]
        assert TrustedProxy(["unix"], origin=API).vouched_headers(scope(PROXY, ("a", "b"))) == ()

    def test_an_address_that_a_middleware_took_from_a_header_is_no_peers(self) -> None:
        """Servers put it there with port 0, which no connection has; the client chose it."""
        proxy = TrustedProxy(["10.0.0.0/24"], origin=API)

        assert proxy.vouched_headers(scope(("10.0.0.7", 0), ("a", "b"))) == ()
        assert proxy.vouched_headers(scope(("10.0.0.7", 1), ("a", "b"))) == [(b"a", b"b")]


class TestForwarded:
    """RFC 7239 §4: read as a whole, and believed from the right."""

    def test_the_trusted_proxys_element_is_the_origin(self, standard: TrustedProxy) -> None:
        request = forwarded("for=192.0.2.43;proto=https;host=api.example")

        assert standard.origin_of(request) == API
        assert standard.client_address(request) == "192.0.2.43"

    @pytest.mark.parametrize(
        ("value", "origin"),
        [
            ('for=192.0.2.1;proto=https;host="api.example:8443"', "https://api.example:8443"),
            ('For="[2001:db8::1]:4711";Proto=HTTPS;Host=API.example', API),
            ('for=_hidden;proto=https;host="api.example:443"', API),
            ("for=unknown; proto=https ; host=api.example", API),
            ("proto=https;host=api.example", API),
            (',, host="api\\.example";proto=https ,', API),
            ('by="_a\\"b,c;d";host=api.example;proto=https', API),
            ("host=api.example;proto=http", "http://api.example"),
            ("host=api.example;proto=wss", API),
            ('host="[2001:db8::1]";proto=https', "https://[2001:db8::1]"),
            (";;host=api.example;;proto=https;", API),
        ],
    )
    def test_every_honest_spelling_is_read(
        self, standard: TrustedProxy, value: str, origin: str
    ) -> None:
        assert standard.origin_of(forwarded(value)) == origin

    @pytest.mark.parametrize(
        "value",
        [
            "", "host=api.example", "proto=https", "for=192.0.2.1", "proto=ftp;host=api.example",
            "proto=https;host=api.example;host=evil.example", "proto=https;host", "=https",
            "proto = https;host=api.example", 'proto=https;host="api.example',
            "proto=https;host=api.example:8443", 'proto=https;host="a@evil.example"',
            'proto=https;host="evil.example/a"', 'proto=https;host="evil.example?"',
            'proto=https;host="[::1"', 'proto=https;host="[fe80]"',
            'proto=https;host="api.example:0"', 'proto=https;host="api.example:65536"',
            'proto=https;host="api.example:٣"', 'proto=https;host=""', "proto=https;host=é",
            'proto=https;host="api.example\n"', "proto=https;host=-api.example",
        ],
    )  # fmt: skip
    def test_what_cannot_be_read_is_refused(self, standard: TrustedProxy, value: str) -> None:
        request = scope(PROXY)
        request["headers"] = [(b"forwarded", value.encode())]
        refused(standard.origin_of, request)

    def test_the_other_header_is_not_looked_at(
        self, standard: TrustedProxy, custom: TrustedProxy
    ) -> None:
        """A proxy sets the one and hands the other on, just as the client wrote it."""
        refused(standard.origin_of, x_forwarded(proto="https", host="evil.example"))
        refused(custom.origin_of, forwarded("proto=https;host=evil.example"))

    def test_j16_what_the_client_wrote_before_the_proxy_is_not_believed(
        self, standard: TrustedProxy
    ) -> None:
        forged = "for=10.0.0.8;proto=https;host=evil.example"
        honest = "for=203.0.113.9;proto=https;host=api.example"

        for request in (forwarded(forged, honest), forwarded(f"{forged}, {honest}")):
            assert standard.origin_of(request) == API
            assert standard.client_address(request) == "203.0.113.9"

    def test_trusted_addresses_are_skipped_up_to_the_outermost_proxy(
        self, standard: TrustedProxy
    ) -> None:
        request = forwarded(
            "for=198.51.100.1;proto=https;host=evil.example",
            "for=203.0.113.9;proto=https;host=api.example",
            'for="10.0.0.8:3128";proto=http;host=inner',
        )
        assert standard.origin_of(request) == API
        assert standard.client_address(request) == "203.0.113.9"

    @pytest.mark.parametrize("hop", ["proto=http;host=inner", "for=_b;proto=http;host=inner"])
    def test_j16_an_element_for_nobody_known_ends_the_walk(
        self, standard: TrustedProxy, hop: str
    ) -> None:
        request = forwarded("for=192.0.2.1;proto=https;host=evil.example", hop)

        assert standard.origin_of(request) == "http://inner"

    @pytest.mark.parametrize("left_open", ['for="', 'for="a\\', 'host=evil.example;for="x', '"'])
    def test_j16_a_quotation_mark_left_open_swallows_nothing(
        self, standard: TrustedProxy, left_open: str
    ) -> None:
        refused(
            standard.origin_of,
            forwarded(left_open, 'for="[2001:db8::9]:1";proto=https;host=api.example'),
        )

    def test_a_client_inside_the_network_is_still_called_by_its_address(
        self, standard: TrustedProxy
    ) -> None:
        request = forwarded("for=10.0.0.9;proto=https;host=api.example")

        assert standard.origin_of(request) == API
        assert standard.client_address(request) == "10.0.0.9"

    def test_it_may_be_8_kib_long_and_not_an_octet_more(self, standard: TrustedProxy) -> None:
        """RFC 9110 §5.3: all its lines together."""
        text = "proto=https;host=api.example"

        assert standard.origin_of(forwarded(text.rjust(8 * 1024))) == API
        refused(standard.origin_of, forwarded(text.rjust(8 * 1024 + 1)))

    @given(st.binary(max_size=80) | st.text('="\\,; \tafor[]:.1', max_size=40).map(str.encode))
    def test_only_our_own_exception_leaves(self, value: bytes) -> None:
        proxy = TrustedProxy(["10.0.0.0/24"], forwarding=Forwarding.FORWARDED)
        request = scope(PROXY)
        request["headers"] = [(b"forwarded", value)]
        with suppress(OriginRefused):
            proxy.origin_of(request)
        assert isinstance(proxy.client_address(request), str)

    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(["for", "by", "host", "proto", "secret"]),
                st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12),
                min_size=1,
            ),
            max_size=4,
        )
    )
    def test_what_is_written_by_the_rules_is_read_back(
        self, elements: list[dict[str, str]]
    ) -> None:
        def quoted(value: str) -> str:
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

        text = ", ".join(
            ";".join(f"{name}={quoted(value)}" for name, value in element.items())
            for element in elements
        )
        assert read_forwarded([(b"forwarded", text.encode())]) == elements


class TestXForwarded:
    """The older headers: of each the last value, which the nearest proxy wrote."""

    def test_they_are_the_origin(self, custom: TrustedProxy) -> None:
        request = x_forwarded(PROXY, proto="https", host="api.example", **{"for": "192.0.2.43"})

        assert custom.origin_of(request) == API
        assert custom.client_address(request) == "192.0.2.43"

    def test_j16_a_value_that_the_proxy_appended_to_counts_no_more(
        self, custom: TrustedProxy
    ) -> None:
        request = x_forwarded(proto="https", host="evil.example, api.example")

        assert custom.origin_of(request) == API

    def test_j16_a_second_line_counts_no_more_either(self, custom: TrustedProxy) -> None:
        request = scope(
            PROXY, ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"), ("x-forwarded-host", "api.example"),
        )  # fmt: skip

        assert custom.origin_of(request) == API

    @pytest.mark.parametrize(
        "said",
        [
            {}, {"proto": "https"}, {"host": "api.example"},
            {"proto": "https,", "host": "api.example"},
            {"proto": "https", "host": "evil.example/"},
            {"proto": "javascript", "host": "api.example"},
        ],
    )  # fmt: skip
    def test_half_of_it_is_refused(self, custom: TrustedProxy, said: dict[str, str]) -> None:
        """`Host` does not stand in: a proxy may hand it on as the client wrote it."""
        request = x_forwarded(PROXY, **said)
        request["headers"].append((b"host", b"evil.example"))

        refused(custom.origin_of, request)

    @pytest.mark.parametrize(
        ("listed", "client"),
        [
            ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
            ("198.51.100.1, 203.0.113.9, 10.0.0.8", "203.0.113.9"),
            ("203.0.113.9:51000, 10.0.0.8", "203.0.113.9"),
            ("[2001:db8::9]:51000", "2001:db8::9"),
            ("2001:db8::9", "2001:db8::9"),
            ("10.0.0.9, 10.0.0.8", "10.0.0.9"),
            ("", "10.0.0.7"),
            (",", "10.0.0.7"),
            ("é", "10.0.0.7"),
        ],
    )
    def test_the_client_is_the_last_one_that_is_no_proxy(
        self, custom: TrustedProxy, listed: str, client: str
    ) -> None:
        assert custom.client_address(x_forwarded(PROXY, **{"for": listed})) == client

    @given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60))
    def test_only_our_own_exception_leaves(self, proto: bytes, host: bytes, node: bytes) -> None:
        proxy = TrustedProxy(["10.0.0.0/24"], forwarding=Forwarding.X_FORWARDED)
        request = scope(PROXY)
        request["headers"] = [
            (b"x-forwarded-proto", b"https" if len(proto) % 2 else proto),
            (b"x-forwarded-host", host), (b"x-forwarded-for", node),
        ]  # fmt: skip
        with suppress(OriginRefused):
            proxy.origin_of(request)
        assert isinstance(proxy.client_address(request), str)


class TestStranger:
    """J16: a caller who comes past the proxy says what he likes, and moves nothing."""

    @pytest.mark.parametrize("client", [STRANGER, None, ("10.0.0.7", 0)])
    @pytest.mark.parametrize("name", ["standard", "custom"])
    def test_j16_his_headers_give_no_origin(
        self, client: tuple[str, int] | None, name: str, request: pytest.FixtureRequest
    ) -> None:
        proxy: PublicOrigin = request.getfixturevalue(name)
        forged = scope(
            client, ("forwarded", "for=192.0.2.1;proto=https;host=evil.example"),
            ("x-forwarded-proto", "https"), ("x-forwarded-host", "evil.example"),
            ("x-forwarded-for", "192.0.2.1"), ("host", "evil.example"),
        )  # fmt: skip

        assert refused(proxy.origin_of, forged) == "the request came past the trusted proxy"
        assert proxy.client_address(forged) == (client[0] if client else "unknown")

    def test_j16_a_written_origin_holds_for_him_too(self) -> None:
        proxy = TrustedProxy(["10.0.0.0/24"], forwarding=Forwarding.X_FORWARDED, origin=API)
        forged = x_forwarded(STRANGER, proto="https", host="evil.example")
        through = x_forwarded(PROXY, proto="https", host="evil.example")

        assert proxy.origin_of(forged) == proxy.origin_of(through) == API


class TestHosts:
    """Where a proxy hands on whatever host was asked for, the API's own are listed."""

    @pytest.mark.parametrize("host", ["api.example", "API.example:443", "shop.example:8443"])
    def test_its_own_are_accepted(self, host: str) -> None:
        proxy = TrustedProxy(
            ["10.0.0.0/24"], forwarding=Forwarding.X_FORWARDED,
            hosts=["api.example:443", "Shop.example:8443"],
        )  # fmt: skip

        assert proxy.origin_of(x_forwarded(proto="https", host=host)).startswith("https://")

    @pytest.mark.parametrize("host", ["evil.example", "api.example:8443", "api.example.evil"])
    def test_j16_others_are_refused(self, host: str) -> None:
        proxy = TrustedProxy(
            ["10.0.0.0/24"], forwarding=Forwarding.X_FORWARDED, hosts=["api.example"]
        )
        refused(proxy.origin_of, x_forwarded(proto="https", host=host))

    def test_a_host_that_is_none_is_refused_at_once(self) -> None:
        with pytest.raises(ValueError, match="hosts"):
            TrustedProxy(["10.0.0.0/24"], origin=API, hosts=["https://api.example"])


class TestRequestUri:
    """RFC 9449 §4.2: the request's address without query and fragment, as it was sent."""

    @pytest.mark.parametrize(
        ("path", "raw", "root", "uri"),
        [
            ("/orders", b"/orders", "", "/orders"),
            ("/a b/é~", b"/a%20b/%c3%a9%7e", "", "/a%20b/%c3%a9%7e"),
            ("/a/b", b"/a%2Fb", "", "/a%2Fb"),
            ("/orders", b"/orders?page=2", "", "/orders"),
            ("/a#b", b"/a#b", "", "/a%23b"),
            ("/a\xff", b"/a\xff", "", "/a%FF"),
            ("//a.example/b", b"//a.example/b", "", "//a.example/b"),
            ("/v1/orders", b"/v1/orders", "/v1", "/v1/orders"),
            ("/v1", b"/v1", "/v1/", "/v1"),
            ("/orders", b"/orders", "/v1", "/v1/orders"),
            ("/v1orders", b"/v1orders", "/v1", "/v1/v1orders"),
            ("/a b?c", None, "", "/a%20b%3Fc"),
            ("/orders", None, "/v 1", "/v%201/orders"),
        ],
    )
    def test_the_path_is_the_one_that_was_sent(
        self, path: str, raw: bytes | None, root: str, uri: str
    ) -> None:
        request = scope(path=path, root_path=root)
        request["raw_path"] = raw

        assert request_uri(request, API) == API + uri

    def test_a_server_may_leave_out_what_is_optional(self) -> None:
        assert request_uri({"path": "/orders"}, API) == f"{API}/orders"

    @pytest.mark.parametrize(
        "raw",
        [b"", b"*", b"@evil.example/", b".evil.example/", b":8443/", b"https://evil.example/"],
    )
    def test_j16_a_target_that_is_no_path_does_not_become_a_host(self, raw: bytes) -> None:
        refused(request_uri, scope(path=raw.decode(), raw_path=raw), API)


class TestAddresses:
    """RFC 7239 §6: what stands behind `for`."""

    @pytest.mark.parametrize(
        ("node", "address"),
        [
            ("192.0.2.43", "192.0.2.43"), ("192.0.2.43:80", "192.0.2.43"),
            ("192.0.2.43:_port", "192.0.2.43"), ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:80", "2001:db8::1"), ("unknown", None), ("_hidden", None),
            ("[]", None), ("192.0.2", None), ("", None), ("[192.0.2.43", None),
        ],
    )  # fmt: skip
    def test_an_address_is_read_and_a_made_up_name_is_none(
        self, node: str, address: str | None
    ) -> None:
        found = parse_node(node)

        assert (found and str(found)) == address

    def test_an_address_that_is_spelled_oddly_is_none(self) -> None:
        assert parse_address("10.0.0.01") is None
