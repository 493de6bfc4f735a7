"""A client made of environment variables, each named after the API or server it is for.

    ORDERS_ISSUER, ORDERS_CLIENT_ID
    ORDERS_CLIENT_SECRET or ORDERS_CLIENT_SECRET_FILE, or
    ORDERS_PRIVATE_KEY_FILE (with ORDERS_PRIVATE_KEY_ALGORITHM, ORDERS_PRIVATE_KEY_ID), or
    ORDERS_TOKEN_FILE: an assertion of the platform, or
    ORDERS_PUBLIC_CLIENT=true
    ORDERS_CLIENT_SECRET_METHOD, ORDERS_RESOURCE, ORDERS_SCOPE
    ORDERS_ALLOW_PRIVATE_ADDRESSES, ORDERS_INSECURE_ALLOW_HTTP_ON_LOOPBACK

Files are read anew when they change, so that a rotated secret or key needs no restart. What is wrong
is said at once and altogether, with the names of the variables and never with their values.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from mintmark.client.proof import (
    SECRET_METHODS,
    ClientProof,
    ClientSecret,
    FederatedAssertion,
    PrivateKeyJwt,
    PublicClient,
)
from mintmark.fetch import FetchPolicy, FetchRefused, require_safe_url
from mintmark.jose.algorithms import Algorithm, parse_algorithm
from mintmark.jose.errors import AlgorithmRefused, KeyRefused
from mintmark.jose.keys import SigningKey
from mintmark.protocol.client_authentication import ClientAuthenticationMethod
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.scope import Scope, parse_scope
from mintmark.secret import Secret

__all__ = ["ClientSettings", "EnvironmentRefused", "settings_from"]

MAX_FILE: Final = 64 * 1024
WAYS: Final = (
    "CLIENT_SECRET",
    "CLIENT_SECRET_FILE",
    "PRIVATE_KEY_FILE",
    "TOKEN_FILE",
    "PUBLIC_CLIENT",
)
BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}

# By kind of key; RSA last, for it takes longest to try.
_BY_KEY: Final = (
    Algorithm.ES256, Algorithm.ES384, Algorithm.ES512, Algorithm.EDDSA, Algorithm.RS256,
)  # fmt: skip

_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*[A-Z0-9]")
_PEM: Final = re.compile(
    rb"-----BEGIN PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END PRIVATE KEY-----\s*"
)


class EnvironmentRefused(ValueError):
    """The variables do not make a client. A line for each thing that is wrong.

    Attributes:
        variables: those that have to be set otherwise.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("\n".join(f"{name} {problem}" for name, problem in problems.items()))
        self.variables = tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """What the variables say."""

    issuer: str
    client_id: str
    proof: ClientProof
    scope: Scope
    resource: frozenset[str]
    policy: FetchPolicy


def settings_from(prefix: str, environment: Mapping[str, str]) -> ClientSettings:
    """Raises `EnvironmentRefused`: naming every variable that is wrong or missing."""
    if _NAME.fullmatch(prefix) is None:
        raise ValueError("prefix: capital letters, digits and _, as in ORDERS for ORDERS_ISSUER")
    return _Reading(prefix, environment).settings()


class FileUnusable(Exception):
    """Says what is wrong with a file, and neither its name nor what is in it."""


@final
class _Reading:
    """One look at the variables, which keeps what is wrong until the end."""

    def __init__(self, prefix: str, environment: Mapping[str, str]) -> None:
        self._prefix = prefix
        self._environment = environment
        self._problems: dict[str, str] = {}

    def settings(self) -> ClientSettings:
        policy = FetchPolicy(
            insecure_allow_http_on_loopback=self._switch("INSECURE_ALLOW_HTTP_ON_LOOPBACK"),
            allow_private_addresses=self._switch("ALLOW_PRIVATE_ADDRESSES"),
        )
        issuer, client_id = self._issuer(policy), self._text("CLIENT_ID", required=True)
        proof, scope = self._proof(), self._scope()
        resource = frozenset(self._text("RESOURCE").split())
        if self._problems or proof is None:
            raise EnvironmentRefused(self._problems)
        return ClientSettings(
            issuer=issuer, client_id=client_id, proof=proof, scope=scope, resource=resource,
            policy=policy,
        )  # fmt: skip

    def _say(self, name: str, problem: str) -> None:
        self._problems.setdefault(f"{self._prefix}_{name}", problem)

    def _given(self, name: str) -> str | None:
        return self._environment.get(f"{self._prefix}_{name}")

    def _text(self, name: str, *, required: bool = False) -> str:
        value = self._given(name)
        if value is None:
            if required:
                self._say(name, "is not set")
            return ""
        # Set and empty is a template that was not filled in; it must not count as unset.
        if not value.strip():
            self._say(name, "is set, and empty")
        elif value != value.strip() or not value.isprintable():
            self._say(name, "has white space or line breaks around it, or what cannot be shown")
        return value

    def _switch(self, name: str) -> bool:
        value = self._given(name)
        if value is not None and value.lower() not in BOOLEANS:
            self._say(name, "must be true or false")
        return BOOLEANS.get((value or "false").lower(), False)

    def _issuer(self, policy: FetchPolicy) -> str:
        issuer = self._text("ISSUER", required=True)
        if issuer:
            try:
                require_safe_url(issuer, policy)
            except FetchRefused:
                self._say(
                    "ISSUER",
                    "is no https address without user-info (http on this machine needs"
                    f" {self._prefix}_INSECURE_ALLOW_HTTP_ON_LOOPBACK=true)",
                )
        return issuer

    def _scope(self) -> Scope:
        text = self._text("SCOPE")
        try:
            return parse_scope(text) if text else frozenset()
        except OAuthError:
            self._say("SCOPE", "holds what no scope may hold (RFC 6749 §3.3)")
            return frozenset()

    def _proof(self) -> ClientProof | None:
        public = self._switch("PUBLIC_CLIENT")
        given = [name for name in WAYS[:-1] if self._given(name) is not None]
        ways = [*given, "PUBLIC_CLIENT"] if public else given
        if len(ways) != 1:
            # Of two, one would be used and the other believed to be.
            names = ", ".join(f"{self._prefix}_{name}" for name in ways or WAYS)
            self._say(ways[0] if ways else WAYS[0], f"exactly one of these has to be set: {names}")
            return None
        try:
            return self._way(ways[0])
        except FileUnusable as wrong:
            self._say(ways[0], str(wrong))
            return None

    def _way(self, way: str) -> ClientProof:
        value = self._text(way)
        match way:
            case "CLIENT_SECRET":
                return ClientSecret(Secret(value), self._method())
            case "CLIENT_SECRET_FILE":
                file = _SecretFile(Path(value))
                file.read()
                return ClientSecret(file, self._method())
            case "PRIVATE_KEY_FILE":
                key = _KeyFile(Path(value), self._algorithm(), self._text("PRIVATE_KEY_ID") or None)
                key.read()
                return PrivateKeyJwt(key)
            case "TOKEN_FILE":
                # It may come later than this process: the platform writes it.
                return FederatedAssertion(Path(value))
            case _:
                return PublicClient()

    def _method(self) -> ClientAuthenticationMethod:
        value = self._text("CLIENT_SECRET_METHOD") or SECRET_METHODS[0]
        known = {str(method): method for method in SECRET_METHODS}
        if value not in known:
            self._say("CLIENT_SECRET_METHOD", f"must be one of {', '.join(known)}")
        return known.get(value, SECRET_METHODS[0])

    def _algorithm(self) -> Algorithm | None:
        name = self._text("PRIVATE_KEY_ALGORITHM")
        try:
            return parse_algorithm(name) if name else None
        except AlgorithmRefused:
            self._say("PRIVATE_KEY_ALGORITHM", "is no algorithm we use, as ES256 is")
            return None


@final
class _SecretFile:
    """A secret in a file, read anew for every request: that is once in minutes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self) -> Secret:
        return self.read()

    def read(self) -> Secret:
        text = _content(self._path)
        # One line break at its end is the editor's, and not the secret's.
        for ending in ("\r\n", "\n"):
            if text.endswith(ending):
                text = text[: -len(ending)]
                break
        if not text.strip() or not text.isprintable():
            raise FileUnusable("names a file that holds no secret of one line")
        return Secret(text)


@final
class _KeyFile:
    """A private key in a file, loaded anew when the file is another: an RSA key takes 30 ms."""

    def __init__(self, path: Path, algorithm: Algorithm | None, kid: str | None) -> None:
        self._path = path
        self._algorithms = (algorithm,) if algorithm is not None else _BY_KEY
        self._kid = kid
        self._loaded: tuple[Secret, SigningKey] | None = None

    def __call__(self) -> SigningKey:
        return self.read()

    def read(self) -> SigningKey:
        text = Secret(_content(self._path))
        loaded = self._loaded
        if loaded is None or loaded[0] != text:
            loaded = self._loaded = (text, self._load(text.reveal().encode()))
        return loaded[1]

    def _load(self, text: bytes) -> SigningKey:
        found = _PEM.fullmatch(text.strip() + b"\n")
        if found is None:
            raise FileUnusable(
                "names a file that is no PEM file of one unencrypted PRIVATE KEY (PKCS #8)"
            )
        try:
            der = base64.b64decode(b"".join(found.group(1).split()), validate=True)
        except (binascii.Error, ValueError):
            raise FileUnusable("names a PEM file that is damaged") from None
        for algorithm in self._algorithms:
            try:
                return SigningKey.from_pkcs8(der, algorithm, self._kid)
            except (KeyRefused, AlgorithmRefused):
                continue
        raise FileUnusable("names a file with a key that cannot be used, or not with its algorithm")


def _content(path: Path) -> str:
    """Raises `FileUnusable`: there is no such file, or it is something else."""
    try:
        # A pipe could make the start wait for ever.
        if not path.is_file():
            raise FileUnusable("names a file that is not there")
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
        if len(content) > MAX_FILE:
            raise FileUnusable("names a file that is too long")
        return content.decode("utf-8")
    except (OSError, ValueError):  # a name with a NUL in it, octets that are no text
        raise FileUnusable("names a file that cannot be read") from None
