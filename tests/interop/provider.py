"""npm `oidc-provider` as a process, over TLS on loopback, for the tests that our client gets along with it."""

import base64
import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import msgspec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from joserfc.jwk import ECKey
from tests.interop.certificates import Certificates, Pair
from tests.services import missing

from mintmark.client import Authority, Client, PrivateKeyJwt
from mintmark.fetch import FetchPolicy
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.keys import SigningKey
from mintmark.testing import HeadlessBrowser
from mintmark.testing.ports import free_ports

__all__ = ["API", "OTHER_API", "SCOPES", "Provider", "provider"]

FOLDER: Final = Path(__file__).parent
API: Final = "https://orders.example"
OTHER_API: Final = "https://stock.example"
SCOPES: Final = ("orders.read", "orders.write")


@dataclass(frozen=True, slots=True)
class Provider:
    """What runs, and who is registered there: the same key for every client that signs."""

    issuer: str
    key: SigningKey
    certificates: Certificates
    machine: Pair  # of the client "machine", by the authority
    lonely: Pair  # of the client "lonely", by nobody but itself

    @property
    def policy(self) -> FetchPolicy:
        return FetchPolicy(trust=self.certificates.trust, allow_private_addresses=True)

    @property
    def callback(self) -> str:
        """Nobody has to answer there: what the browser brings is in its address."""
        return f"{self.issuer}/no/such/page"

    def client(self, client_id: str, **more: Any) -> Client:
        """A registered client that signs; takes what `Client` takes."""
        more.setdefault("proof", PrivateKeyJwt(self.key))
        return Client(Authority(self.issuer, policy=self.policy), client_id=client_id, **more)

    def sign_in(self, url: str, person: str = "alice") -> str:
        """A person before the pages of the provider; gives the query that they come back with."""
        browser = HeadlessBrowser(trust=self.certificates.trust)
        try:
            page = browser.open(url)
            page = browser.submit(page, {"login": person, "password": "any"})
            while not page.url.startswith(self.callback):
                assert page.forms, f"{page.status} {urlsplit(page.url).path}"
                page = browser.submit(page)
            return urlsplit(page.url).query
        finally:
            browser.close()


@contextmanager
def provider(folder: Path, *, dpop_nonce: bool = True) -> Iterator[Provider]:
    """It runs for as long as the block lasts."""
    node = _installed()
    ports = free_ports(2)
    issuer, mtls = (f"https://localhost:{port}" for port in ports)
    certificates = Certificates(folder)
    made = Provider(
        issuer,
        SigningKey.generate(Algorithm.ES256),
        certificates,
        certificates.client("machine"),
        certificates.self_signed("lonely"),
    )
    settings = folder / "settings.json"
    settings.write_text(json.dumps(_settings(made, mtls, dpop_nonce=dpop_nonce)))
    command = [str(node), str(FOLDER / "oidc-provider.mjs"), str(settings)]
    with (folder / "provider.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}
        )
    try:
        _wait(process, issuer, certificates.trust, folder / "provider.log")
        yield made
    finally:
        process.terminate()
        process.wait(20)


def _installed() -> Path:
    """The provider and the Node that it wants, as the lock file says."""
    npm = shutil.which("npm")
    if npm is None:
        missing("npm")
    assert npm is not None
    modules, lock = FOLDER / "node_modules", FOLDER / "package-lock.json"
    node, done_before = modules / ".bin" / "node", modules / ".package-lock.json"
    # npm writes the second file last, from what it installed.
    there = node.exists() and done_before.exists()
    if there and done_before.stat().st_mtime >= lock.stat().st_mtime:
        return node
    command = [npm, "ci", "--prefer-offline", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not node.exists():
        raise RuntimeError(f"npm ci ended with status {done.returncode}: {done.stderr[-500:]}")
    return node


def _wait(
    process: "subprocess.Popen[bytes]", issuer: str, trust: ssl.SSLContext, log: Path
) -> None:
    for _ in range(400):
        if process.poll() is not None:
            raise RuntimeError(f"it ended: {log.read_text()[-1000:]}")
        try:
            httpx2.get(f"{issuer}/jwks", verify=trust, trust_env=False, timeout=5)
            return
        except httpx2.HTTPError:
            time.sleep(0.05)
    raise RuntimeError("it does not answer")


def _settings(made: Provider, mtls: str, *, dpop_nonce: bool) -> dict[str, Any]:
    return {
        "issuer": made.issuer,
        "mtls": mtls,
        "key": str(made.certificates.server.key_file),
        "certificate": str(made.certificates.server.certificate_file),
        "clientsCa": str(made.certificates.authority.certificate_file),
        "scopes": SCOPES,
        "jwks": {"keys": [_private(SigningKey.generate(Algorithm.ES256))]},
        "dpopNonce": dpop_nonce,
        "clients": _clients(made),
    }


def _clients(made: Provider) -> list[dict[str, Any]]:
    web = {
        "grant_types": ["authorization_code", "refresh_token"],
        "redirect_uris": [made.callback],
        "response_types": ["code"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "id_token_signed_response_alg": "ES256",
        "scope": " ".join(("openid", "offline_access", *SCOPES)),
        "jwks": {"keys": [msgspec.json.decode(msgspec.json.encode(made.key.public.to_jwk()))]},
    }
    machine = {
        "grant_types": ["client_credentials"],
        "redirect_uris": [],
        "response_types": [],
        "id_token_signed_response_alg": "ES256",
        "scope": " ".join(SCOPES),
        "tls_client_certificate_bound_access_tokens": True,
    }
    by_authority = {
        "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_dns": "machine",
    }
    by_itself = {
        "token_endpoint_auth_method": "self_signed_tls_client_auth",
        "jwks": {"keys": [_with_certificate(made.lonely)]},
    }
    return [
        {"client_id": "web", **web},
        {"client_id": "web-par", **web, "require_pushed_authorization_requests": True},
        {"client_id": "web-bound", **web, "dpop_bound_access_tokens": True},
        {"client_id": "machine", **machine, **by_authority},
        {"client_id": "lonely", **machine, **by_itself},
    ]


def _private(key: SigningKey) -> Mapping[str, Any]:
    loaded = load_der_private_key(key.to_pkcs8(), None)
    pem = loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {**ECKey.import_key(pem).as_dict(private=True), "alg": "ES256", "use": "sig", "kid": "p"}


def _with_certificate(pair: Pair) -> Mapping[str, Any]:
    der = pair.certificate.public_bytes(Encoding.DER)
    pem = pair.certificate_file.read_bytes()
    public = ECKey.import_key(pem).as_dict(private=False)
    return {**public, "use": "sig", "x5c": [base64.b64encode(der).decode()]}
