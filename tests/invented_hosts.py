"""https://api.example, for programs that run as they are printed in the docs.

Its name leads to a server on loopback that speaks TLS with a certificate of its own authority; the
token server is the fake one. So a page's program sends real requests, to hosts that do not exist.
"""

import json
import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mintmark.clock import SystemClock
from mintmark.testing import FakeAuthority

__all__ = ["HOST", "ORDERS", "invented_hosts"]

HOST = "api.example"
ORDERS = {"orders": [1, 2, 3]}

# Loaded by every Python process that has the folder on its path, before the program itself.
RESOLVER = """\
import socket
_connect = socket.create_connection
def create_connection(address, *more, **named):
    if address[:2] == ("{host}", 443):
        address = ("127.0.0.1", {port})
    return _connect(address, *more, **named)
socket.create_connection = create_connection
"""


@contextmanager
def invented_hosts(
    folder: Path, authority: FakeAuthority | None = None
) -> Iterator[dict[str, str]]:
    """The environment of a process that can reach them, with what `Client.from_env` reads.

    Args:
        authority: who issues the tokens, if whoever asks wants to look at it afterwards.
    """
    folder.mkdir()
    with (authority or FakeAuthority()).serve() as authority, _orders(folder) as port:
        (folder / "sitecustomize.py").write_text(RESOLVER.format(host=HOST, port=port))
        path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
        yield os.environ | {
            "PYTHONPATH": path,
            "SSL_CERT_FILE": str(folder / "cert.pem"),
            "ORDERS_ISSUER": authority.issuer,
            "ORDERS_CLIENT_ID": "reports",
            "ORDERS_CLIENT_SECRET": "read-me-from-a-vault",
            "ORDERS_INSECURE_ALLOW_HTTP_ON_LOOPBACK": "true",
        }


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        carried = self.headers.get("authorization", "").startswith("Bearer ey")
        body = json.dumps(ORDERS if carried else {"error": "no token"}).encode()
        self.send_response_only(200 if carried else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def _orders(folder: Path) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_certificate(folder))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _certificate(folder: Path) -> tuple[Path, Path]:
    key, now = ec.generate_private_key(ec.SECP256R1()), SystemClock().now()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert, private
