"""https://api.example, for programs that run as they are printed in the docs.

Its name leads to a server on loopback that speaks TLS with a certificate of its own authority; the
token server is the fake one. So a page's program sends real requests, to hosts that do not exist.
"""

import json
import os
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mintmark.clock import SystemClock
from mintmark.testing import FakeAuthority

__all__ = ["HOST", "ORDERS", "certificate", "invented_hosts", "invented_names", "over_tls"]

HOST = "api.example"
ORDERS = {"orders": [1, 2, 3]}

# Loaded by every Python process that has the folder on its path, before the program itself. A name
# gets an address of the open internet, for a private one would be refused, and whoever connects to
# that is led to this machine. The certificate is one of the machine's own.
RESOLVER = """\
import socket, ssl
_paths = ssl.get_default_verify_paths()._replace(openssl_cafile={cafile!r})
ssl.get_default_verify_paths = lambda: _paths
PORTS = {ports!r}
ADDRESSES = {{name: f"93.184.215.{{number}}" for number, name in enumerate(PORTS, 1)}}
PLACES = {{(address, 443): ("127.0.0.1", PORTS[name]) for name, address in ADDRESSES.items()}}
_look_up, _connect = socket.getaddrinfo, socket.socket.connect
def getaddrinfo(host, *more, **named):
    name = host.decode() if isinstance(host, bytes) else host
    return _look_up(ADDRESSES.get(name, host), *more, **named)
def connect(self, address):
    return _connect(self, PLACES.get(address, address))
socket.getaddrinfo, socket.socket.connect = getaddrinfo, connect
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
    pair = certificate(folder, HOST)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    with (authority or FakeAuthority()).serve() as authority, over_tls(server, pair) as port:
        yield invented_names(folder, {HOST: port}) | {
            "ORDERS_ISSUER": authority.issuer,
            "ORDERS_CLIENT_ID": "reports",
            "ORDERS_CLIENT_SECRET": "read-me-from-a-vault",
            "ORDERS_INSECURE_ALLOW_HTTP_ON_LOOPBACK": "true",
        }


def invented_names(folder: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """The environment of a process for which these hosts are there, at `https` and these ports.

    Args:
        folder: where their `certificate` was made.
    """
    (folder / "sitecustomize.py").write_text(
        RESOLVER.format(ports=dict(ports), cafile=str(folder / "cert.pem"))
    )
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path, "SSL_CERT_FILE": str(folder / "cert.pem")}


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
def over_tls(server: HTTPServer, pair: tuple[Path, Path]) -> Iterator[int]:
    """It serves for as long as the block lasts; gives its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def certificate(folder: Path, *hosts: str) -> tuple[Path, Path]:
    """Of an authority of its own, for these hosts: `cert.pem` and `key.pem`."""
    key, now = ec.generate_private_key(ec.SECP256R1()), SystemClock().now()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert, private
