"""A client certificate, and a signature with a secret.

RFC 8705 §2, RFC 8705 §2.1, RFC 8705 §2.2, RFC 8705 §3, RFC 8705 §3.1, RFC 8705 §5; RFC 7518 §3.2,
RFC 7523 §2.2.
"""

import hashlib
import hmac
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from mintmark.client import (
    Authority,
    Client,
    ClientCertificate,
    MemoryUserTokens,
    MutualTls,
    OriginNotAllowed,
    Pem,
    ProofUnavailable,
    SecretJwt,
    SelfSignedTls,
    StoredToken,
    TlsClientAuth,
    TokenManager,
    TokenRefused,
    UserTokens,
)
from mintmark.client.proof import ProofAudience
from mintmark.fetch import Fetcher, FetchPolicy, FetchRefused
from mintmark.jose.base64url import decode
from mintmark.protocol.client_assertion import CLIENT_ASSERTION_TYPE
from mintmark.protocol.form import Form
from mintmark.protocol.mtls import certificate_thumbprint
from mintmark.secret import Secret
from mintmark.testing import FrozenClock


class Maker:
    """An authority for certificates, and what it vouched for."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root of this test")])
        self.root = self._made(self.name, self.key, ca=True)

    def _made(self, subject: x509.Name, key: Any, *, ca: bool = False) -> x509.Certificate:
        alternative = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
        )
        issuer = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        return (
            x509.CertificateBuilder(
                self.name, subject, key.public_key(), x509.random_serial_number()
            )
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(alternative, critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )

    def pair(self, name: str, password: bytes | None = None) -> tuple[bytes, bytes, str]:
        """Certificate and key, PEM, and the thumbprint."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._made(subject, key)
        sealing = BestAvailableEncryption(password) if password else NoEncryption()
        return (
            certificate.public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealing),
            certificate_thumbprint(certificate.public_bytes(Encoding.DER)),
        )


MAKER = Maker()


class Server:
    """A token server and an API on TLS, that ask for a certificate and keep what came."""

    def __init__(self, port: int) -> None:
        self.issuer = f"https://127.0.0.1:{port}"
        self.aliases: dict[str, str] = {}
        self.seen: list[tuple[str, str, str, Form]] = []  # path, thumbprint, authorization, form
        self.connections: set[int] = set()

    def answer(self, path: str) -> dict[str, Any]:
        if path.startswith("/.well-known"):
            return {
                "issuer": self.issuer,
                "token_endpoint": f"{self.issuer}/token",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "mtls_endpoint_aliases": self.aliases,
            }
        if "userinfo" in path:
            return {"sub": "alice"}
        token = f"token-{len(self.seen)}"
        return {"access_token": token, "token_type": "Bearer", "expires_in": 600}


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    certificate, key, _ = MAKER.pair("server")
    (folder / "server.pem").write_bytes(certificate + key)
    (folder / "root.pem").write_bytes(MAKER.root.public_bytes(Encoding.PEM))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(folder / "root.pem")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            assert isinstance(self.connection, ssl.SSLSocket)
            der = self.connection.getpeercert(binary_form=True)
            shown = certificate_thumbprint(der) if der else ""
            authorization = self.headers.get("authorization", "")
            made.seen.append((self.path, shown, authorization, Form.parse(body)))
            made.connections.add(self.client_address[1])
            answer = msgspec.json.encode(made.answer(self.path))
            self.send_response_only(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = _serve  # noqa: N815 -- the names are given

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    made = Server(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "server").mkdir()
    with serving(tmp_path / "server") as made:
        yield made


def trust() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=MAKER.root.public_bytes(Encoding.DER))
    return context


class Files:
    """A certificate and its key in two files."""

    def __init__(self, folder: Path) -> None:
        self.certificate_file, self.key_file = folder / "tls.crt", folder / "tls.key"
        self.renew("first")
        self.certificate = ClientCertificate.from_files(self.certificate_file, self.key_file)

    def renew(self, name: str) -> str:
        certificate, key, self.thumbprint = MAKER.pair(name)
        self.put(self.certificate_file, certificate)
        self.put(self.key_file, key)
        return self.thumbprint

    def put(self, path: Path, content: bytes) -> None:
        """As a platform does it: another file in the same place, at once."""
        path.with_suffix(".next").write_bytes(content)
        path.with_suffix(".next").replace(path)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


class Clients:
    def __init__(self, server: Server, clock: FrozenClock) -> None:
        self.policy = FetchPolicy(allow_private_addresses=True, trust=trust())
        self.authority = Authority(server.issuer, policy=self.policy, clock=clock)
        self.clock = clock
        self.made: list[Client] = []

    def __call__(self, **settings: Any) -> Client:
        tokens = TokenManager(clock=self.clock)
        self.made.append(Client(self.authority, client_id="client", tokens=tokens, **settings))
        return self.made[-1]


@pytest.fixture
def clients(server: Server, clock: FrozenClock) -> Iterator[Clients]:
    made = Clients(server, clock)
    yield made
    for client in made.made:
        client.close()


class TestAuthentication:
    @pytest.mark.parametrize("kind", [TlsClientAuth, SelfSignedTls])
    def test_the_connection_shows_it_and_the_form_says_the_name(
        self, server: Server, clients: Clients, files: Files, kind: Any
    ) -> None:
        """RFC 8705 §2: `client_id` is required."""
        clients(proof=kind(files.certificate)).app_token().token()

        path, shown, authorization, form = server.seen[-1]
        assert (path, shown, authorization) == ("/token", files.thumbprint, "")
        assert form.required("client_id", str) == "client"
        assert server.seen[0][1] == ""  # metadata are fetched as nobody

    def test_the_aliases_are_where_it_is_shown(
        self, server: Server, clients: Clients, files: Files
    ) -> None:
        server.aliases = {"token_endpoint": f"{server.issuer}/mtls/token"}
        clients(proof=TlsClientAuth(files.certificate)).app_token().token()
        clients(client_secret=Secret("s" * 32)).app_token().token()

        assert [(path, shown) for path, shown, _, _ in server.seen[1:]] == [
            ("/mtls/token", files.thumbprint), ("/token", ""),
        ]  # fmt: skip

    def test_a_connection_is_never_shared_with_another_identity(
        self, server: Server, clients: Clients, files: Files, tmp_path: Path
    ) -> None:
        (tmp_path / "other").mkdir()
        other = Files(tmp_path / "other")
        for _ in range(2):
            for certificate in (files.certificate, other.certificate):
                clients(proof=TlsClientAuth(certificate)).app_token().token()
            clients(client_secret=Secret("s" * 32)).app_token().token()

        shown = [one for path, one, _, _ in server.seen if path == "/token"]
        assert shown == [files.thumbprint, other.thumbprint, ""] * 2
        assert len(server.connections) == 3  # each is kept open, for its own identity

    def test_a_replaced_certificate_is_used_from_the_next_request_on(
        self, server: Server, clients: Clients, files: Files
    ) -> None:
        recipe = clients(proof=TlsClientAuth(files.certificate)).app_token()
        first = files.thumbprint
        recipe.forget(recipe.token())
        second = files.renew("second")
        recipe.token()

        assert [one for path, one, _, _ in server.seen if path == "/token"] == [first, second]

    def test_while_it_is_being_replaced_the_one_before_serves(self, files: Files) -> None:
        before = files.certificate.thumbprint()
        certificate, key, thumbprint = MAKER.pair("next")
        files.put(files.certificate_file, certificate)
        assert files.certificate.thumbprint() == before
        files.certificate_file.unlink()
        assert files.certificate.thumbprint() == before
        files.put(files.certificate_file, certificate)
        files.put(files.key_file, key)
        assert files.certificate.thumbprint() == thumbprint

    def test_a_callable_gives_the_one_of_this_moment(
        self, server: Server, clients: Clients
    ) -> None:
        certificate, key, thumbprint = MAKER.pair("called", b"sesame")
        pem = Pem(certificate, Secret(key.decode()), Secret("sesame"))
        clients(proof=TlsClientAuth(ClientCertificate(lambda: pem))).app_token().token()

        assert server.seen[-1][1] == thumbprint
        assert "PRIVATE" not in repr(pem)

    @pytest.mark.parametrize(
        "broken", ["missing", "fifo", "large", "text", "swapped", "fails", "no Pem"]
    )
    def test_without_one_nothing_is_sent_and_nothing_is_quoted(
        self, server: Server, clients: Clients, files: Files, broken: str
    ) -> None:
        certificate = files.certificate
        match broken:
            case "missing":
                files.key_file.unlink()
            case "fifo":
                files.key_file.unlink()
                os.mkfifo(files.key_file)
            case "large":
                files.key_file.write_bytes(b"-" * (256 * 1024 + 1))
            case "text":
                files.key_file.write_text("hunter2")
            case "swapped":
                files.put(files.key_file, MAKER.pair("another")[1])
            case "fails":
                certificate = ClientCertificate(fails)
            case _:
                no_pem: Any = "hunter2"
                certificate = ClientCertificate(lambda: no_pem)
        with pytest.raises(ProofUnavailable) as refused:
            clients(proof=TlsClientAuth(certificate)).app_token().token()

        assert "hunter2" not in f"{refused.value!r}"
        assert [path for path, _, _, _ in server.seen if path == "/token"] == []


def fails() -> Pem:
    raise KeyError("the vault quotes hunter2 in its message")


def test_the_connections_of_old_certificates_are_let_go(
    server: Server, clients: Clients, files: Files
) -> None:
    fetcher = clients.authority.fetcher
    shown = []
    for turn in range(10):
        files.renew(f"number {turn}")
        shown.append(files.thumbprint)
        fetcher.post(server.issuer + "/token", b"", shown=files.certificate.current())

    assert [one for _, one, _, _ in server.seen] == shown
    assert len(fetcher._made) == 8
    fetcher.close()


class TestHttps:
    def test_a_server_on_http_is_refused_at_the_start(self, files: Files) -> None:
        policy = FetchPolicy(insecure_allow_http_on_loopback=True)
        authority = Authority("http://127.0.0.1:1", policy=policy)
        for settings in (
            {"proof": TlsClientAuth(files.certificate)},
            {"binding": MutualTls(files.certificate)},
        ):
            with pytest.raises(ValueError, match="https"):
                Client(authority, client_id="client", **settings)
        bare = Client(authority, client_id="client")
        with pytest.raises(ValueError, match="https"):
            bare.app_token(binding=MutualTls(files.certificate))
        bare.close()

    def test_an_endpoint_on_http_is_not_asked(
        self, server: Server, clients: Clients, files: Files
    ) -> None:
        server.aliases = {"token_endpoint": "http://127.0.0.1:1/token"}
        with pytest.raises(TokenRefused) as refused:
            clients(proof=TlsClientAuth(files.certificate)).app_token().token()
        assert refused.value.error == "endpoint_not_https"

    def test_the_fetcher_itself_shows_none_over_http(self, files: Files) -> None:
        fetcher = Fetcher(FetchPolicy(insecure_allow_http_on_loopback=True))
        with pytest.raises(FetchRefused):
            fetcher.post("http://127.0.0.1:1/", b"", shown=files.certificate.current())

    def test_two_certificates_are_refused(self, clients: Clients, files: Files) -> None:
        other = ClientCertificate.from_files(files.certificate_file, files.key_file)
        with pytest.raises(ValueError, match="two certificates"):
            clients(proof=TlsClientAuth(files.certificate), binding=MutualTls(other))
        clients(proof=TlsClientAuth(files.certificate), binding=MutualTls(files.certificate))


class TestBoundTokens:
    """RFC 8705 §3: the call to the API shows the certificate of the token request."""

    def test_the_call_shows_the_same_certificate_and_so_does_the_next_one(
        self, server: Server, clients: Clients, files: Files
    ) -> None:
        client = clients(binding=MutualTls(files.certificate))
        recipe = client.app_token(resource=server.issuer)
        context = files.certificate.ssl_context(trust())
        limits = httpx2.Limits(max_keepalive_connections=0)
        transport = httpx2.HTTPTransport(verify=context, limits=limits, trust_env=False)
        first = files.thumbprint
        with httpx2.Client(transport=transport, auth=recipe.auth()) as http:
            http.get(server.issuer + "/orders")
            second = files.renew("second")
            http.get(server.issuer + "/orders")

        orders = [(shown, token) for path, shown, token, _ in server.seen if path == "/orders"]
        assert [shown for shown, _ in orders] == [first, second]
        # Another certificate is another token, asked for with it.
        assert orders[0][1] != orders[1][1]
        assert [shown for path, shown, _, _ in server.seen if path == "/token"] == [first, second]

    def test_equal_certificates_share_a_token(
        self, server: Server, clients: Clients, files: Files
    ) -> None:
        client = clients(binding=MutualTls(files.certificate))
        tokens = {client.app_token(resource=server.issuer).token() for _ in range(3)}
        assert len(tokens) == 1

    def test_a_persons_stored_token_serves_with_its_own_certificate_alone(
        self, server: Server, clients: Clients, files: Files, clock: FrozenClock
    ) -> None:
        """RFC 8705 §3: bound to the certificate before, or to none, it is another token."""
        session, store = Secret("s"), MemoryUserTokens()
        unbound = StoredToken(
            access_token=Secret("unbound"),
            received=clock.now(),
            expires_at=None,
            scope=frozenset(),
            resource=frozenset({server.issuer}),
        )
        store.begin(
            session,
            UserTokens(
                subject="alice",
                refresh_token=Secret("refresh"),
                id_token=None,
                access_tokens=(unbound,),
            ),
        )

        def token() -> str:
            client = clients(binding=MutualTls(files.certificate))  # with nothing in memory
            return client.user_token(session, store, resource=server.issuer).token().reveal()

        first = token()
        assert token() == first != "unbound"
        files.renew("second")
        assert token() not in {first, "unbound"}

    def test_userinfo_is_shown_it_at_the_alias(
        self, server: Server, clients: Clients, files: Files
    ) -> None:
        """RFC 8705 §5."""
        server.aliases = {"userinfo_endpoint": f"{server.issuer}/mtls/userinfo"}
        bound, plain = clients(binding=MutualTls(files.certificate)), clients()
        for client in (bound, plain):
            client.userinfo(Secret("token"), subject="alice")

        assert [seen[:3] for seen in server.seen if "userinfo" in seen[0]] == [
            ("/mtls/userinfo", files.thumbprint, "Bearer token"),
            ("/userinfo", "", "Bearer token"),
        ]

    def test_such_a_token_does_not_go_over_http(self, clients: Clients, files: Files) -> None:
        client = clients(binding=MutualTls(files.certificate))
        client.authority.fetcher.policy = FetchPolicy(
            insecure_allow_http_on_loopback=True, allow_private_addresses=True, trust=trust()
        )
        auth = client.app_token(resource="http://127.0.0.1:1").auth()
        with httpx2.Client(auth=auth, trust_env=False) as http, pytest.raises(OriginNotAllowed):
            http.get("http://127.0.0.1:1/")

    def test_the_callers_own_context_is_left_as_it_is(self, server: Server, files: Files) -> None:
        own = trust()
        files.certificate.ssl_context(own)
        with httpx2.Client(verify=own, trust_env=False) as http:
            http.get(server.issuer + "/orders")
        assert server.seen[-1][1] == ""

    def test_nothing_of_the_key_stays_on_the_disk(
        self, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "tmp").mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
        files.certificate.ssl_context(trust())
        assert list((tmp_path / "tmp").iterdir()) == []
        with pytest.raises(TypeError):
            files.certificate.__reduce__()


SECRET = Secret("0123456789abcdef0123456789abcdef")
AUDIENCE = ProofAudience(issuer="https://id.example", token_endpoint="https://id.example/token")


class TestSecretJwt:
    """`client_secret_jwt`: RFC 7518 §3.2, RFC 7523 §3, OIDC Core §9."""

    def claims(self, proof: SecretJwt) -> dict[str, Any]:
        body, headers = proof.prove([], client_id="client", audience=AUDIENCE, now=1000.0)
        form = Form.parse(body)
        assert form.required("client_assertion_type", str) == CLIENT_ASSERTION_TYPE
        assert SECRET.reveal() not in body.decode()
        assert "authorization" not in headers
        signed, _, signature = form.required("client_assertion", str).rpartition(".")
        expected = hmac.new(SECRET.reveal().encode(), signed.encode(), hashlib.sha256).digest()
        assert decode(signature) == expected
        header, payload = (msgspec.json.decode(decode(part)) for part in signed.split("."))
        assert header["alg"] == "HS256"
        claims: dict[str, Any] = payload
        return claims

    def test_it_is_signed_with_the_secret_which_stays_here(self) -> None:
        claims = self.claims(SecretJwt(SECRET))

        assert claims["iss"] == claims["sub"] == "client"
        assert claims["aud"] == "https://id.example"
        assert (claims["iat"], claims["exp"]) == (1000, 1060)

    def test_w101_every_one_has_a_jti_of_its_own(self) -> None:
        proof = SecretJwt(SECRET)
        assert self.claims(proof)["jti"] != self.claims(proof)["jti"]

    def test_a_secret_that_can_be_guessed_is_refused(self) -> None:
        SecretJwt(Secret("x" * 32))
        with pytest.raises(ValueError, match="32 octets"):
            SecretJwt(Secret("x" * 31))
        late = SecretJwt(lambda: Secret("x" * 31))
        with pytest.raises(ProofUnavailable):
            late.prove([], client_id="client", audience=AUDIENCE, now=0.0)
