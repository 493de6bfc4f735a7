"""`mintmark.toml`: read, checked, and turned into what the server is made of.

Every complaint names the file, the key and the reason, and all of it before anything starts.
"""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from mintmark.jose.base64url import decode
from mintmark.jose.errors import JoseError
from mintmark.jose.key_set import KeySet
from mintmark.secret import Secret

__all__ = [
    "ClientSettings",
    "ExchangeSettings",
    "KeySetSource",
    "SecretSource",
    "Settings",
    "SettingsRefused",
    "TrustedIssuerSettings",
    "UserSettings",
]


class SettingsRefused(Exception):
    """The settings cannot be used. One line: file, key, reason."""


class SecretSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a secret is: an environment variable, a file, or (for demos) here."""

    env: str | None = None
    file: str | None = None
    insecure_literal: str | None = None

    def read(self, key: str, environment: Mapping[str, str], folder: Path) -> Secret:
        """Raises `SettingsRefused`."""
        named = [name for name in (self.env, self.file, self.insecure_literal) if name is not None]
        if len(named) != 1:
            raise SettingsRefused(f"{key}: name exactly one of env, file, insecure_literal")
        if self.insecure_literal is not None:
            return Secret(self.insecure_literal)
        if self.env is not None:
            value = environment.get(self.env, "")
            if not value:
                raise SettingsRefused(f"{key}: the environment variable {self.env} is not set")
            return Secret(value)
        try:
            return Secret((folder / str(self.file)).read_text("utf-8").strip())
        except (OSError, UnicodeDecodeError) as failure:
            raise SettingsRefused(f"{key}: {self.file}: {_words(failure)}") from None


class DatabaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str = "mintmark.sqlite3"


class LifetimeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds."""

    access_token: int = 600
    code: int = 60
    id_token: int = 300
    session: int = 12 * 3600
    refresh_token_idle: int = 14 * 86400
    refresh_token_absolute: int = 90 * 86400
    refresh_token_grace: int = 30


class ResourceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    identifier: str
    scopes: list[str]
    owners: list[str] = []  # client_ids: who is this API when it asks the server something
    may_act: str | None = None  # a client_id: who alone may exchange its tokens
    authorization_details: dict[str, str] = {}  # RFC 9396: types, and what people read of each


class ExchangeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which tokens a client may have exchanged (RFC 8693), and for what."""

    origin: str = msgspec.field(name="from")
    target: str = msgspec.field(name="to")
    scopes: dict[str, list[str]]
    style: Literal["delegation", "impersonation"] = "delegation"
    actors: list[str] = []
    max_age: int | None = None  # seconds


Method = Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]


class KeySetSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a client's public keys are: a file with a JSON Web Key Set, or its `keys` here."""

    file: str | None = None
    keys: list[dict[str, Any]] | None = None

    def read(self, key: str, folder: Path) -> KeySet:
        """Raises `SettingsRefused` unless every key can be used and found by its `kid`."""
        try:
            found = KeySet.parse(self._octets(key, folder))
            for one in found.keys:
                for algorithm in one.algorithms:
                    found.select(one.kid, algorithm)
        except JoseError as refusal:
            raise SettingsRefused(f"{key}: {refusal.reason}") from None
        if found.dropped or not found.keys:
            reason = found.dropped[0] if found.dropped else "there is no key"
            raise SettingsRefused(f"{key}: {reason}")
        return found

    def _octets(self, key: str, folder: Path) -> bytes:
        if (self.file is None) == (self.keys is None):
            raise SettingsRefused(f"{key}: name exactly one of file, keys")
        if self.file is None:
            return json.dumps({"keys": self.keys}, default=str).encode()
        try:
            return (folder / self.file).read_bytes()
        except OSError as failure:
            raise SettingsRefused(f"{key}: {self.file}: {_words(failure)}") from None


class TrustedIssuerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose word is good for a token (RFC 7523 §2.1)."""

    issuer: str
    clients: list[str]
    scopes: list[str]
    subjects: dict[str, str]  # its name for somebody, and the subject of one of our users
    jwks: KeySetSource | None = None
    jwks_uri: str | None = None
    claims: dict[str, str | int | bool] = {}
    allow_private_addresses: bool = False


class ClientSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    client_id: str
    name: str
    grant_types: list[str]
    scopes: list[str]
    secrets: list[SecretSource] = []
    method: Method = "client_secret_basic"
    jwks: KeySetSource | None = None  # of assertions (private_key_jwt) and request objects
    redirect_uris: list[str] = []
    post_logout_redirect_uris: list[str] = []
    requires_consent: bool = True
    access_token_lifetime: int | None = None  # seconds
    exchanges: list[ExchangeSettings] = []
    requires_dpop: bool = False
    require_pushed_authorization_requests: bool = False
    require_signed_request_object: bool = False
    request_uris: list[str] = []  # where its request objects may be fetched
    authorization_details_types: list[str] = []


class UserSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    subject: str
    username: str
    password_hash: SecretSource | None = None
    password: SecretSource | None = None  # hashed at start; for demos
    name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    email: str | None = None
    picture: str | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of `mintmark.toml`."""

    issuer: str
    master_key: SecretSource
    resources: list[ResourceSettings] = []
    scopes: dict[str, str] = {}
    clients: list[ClientSettings] = []
    users: list[UserSettings] = []
    trusted_issuers: list[TrustedIssuerSettings] = []
    dpop_nonces: bool = False
    require_pushed_authorization_requests: bool = False
    database: DatabaseSettings = DatabaseSettings()
    lifetimes: LifetimeSettings = LifetimeSettings()
    signing_algorithm: Literal["ES256", "RS256", "PS256", "EdDSA"] = "ES256"
    insecure_allow_http_on_loopback: bool = False
    insecure_allow_weak_secrets: bool = False
    project: str | None = None  # whose development tokens `mintmark token` makes here

    @classmethod
    def load(cls, path: Path) -> "Settings":
        """Raises `SettingsRefused`."""
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as failure:
            raise SettingsRefused(f"{path}: {_words(failure)}") from None
        try:
            members = tomllib.loads(text)
        except tomllib.TOMLDecodeError as failure:
            # Its message quotes a character and a place, never a value.
            raise SettingsRefused(f"{path}: not TOML: {failure}") from None
        try:
            return msgspec.convert(members, cls)
        except msgspec.ValidationError as failure:
            raise SettingsRefused(f"{path}: {_with_hint(str(failure))}") from None

    def database_path(self, folder: Path) -> Path:
        return folder / self.database.path

    def read_master_key(self, environment: Mapping[str, str], folder: Path) -> bytes:
        """32 bytes. Raises `SettingsRefused`."""
        value = self.master_key.read("master_key", environment, folder)
        try:
            key = decode(value.reveal())
        except JoseError:
            key = b""
        if len(key) != 32 or len(set(key)) < 8:
            raise SettingsRefused(
                "master_key: must be 32 random bytes in base64url; make one with: "
                "mintmark keys new-master"
            )
        return key


# Long words anywhere; short ones between separators only, for random text holds them by chance.
PLACEHOLDERS = re.compile(
    r"(?i)change.?me|secret|password|placeholder|example|insecure|default"
    r"|(?<![a-z0-9])(?:test|todo|dummy|x{5,}|1234\d*)(?![a-z0-9])"
)
MIN_SECRET_LENGTH = 32


def require_strong(secret: Secret, key: str) -> Secret:
    """A client secret that nobody guesses.

    A client secret is kept as one keyed SHA-256, which is enough for 256 random bits and nothing
    for a word.

    Raises:
        SettingsRefused: too short, or it looks like somebody meant to replace it.
    """
    value = secret.reveal()
    if len(value) < MIN_SECRET_LENGTH or len(set(value)) < 10:
        raise SettingsRefused(
            f"{key}: shorter than {MIN_SECRET_LENGTH} characters, or too regular; make one with: "
            "mintmark clients new-secret"
        )
    if PLACEHOLDERS.search(value) is not None:
        raise SettingsRefused(f"{key}: looks like a placeholder that somebody meant to replace")
    return secret


LONGEST = 10 * 365 * 86400


def seconds(value: int) -> timedelta:
    """Raises `SettingsRefused` for what no moment could be reckoned with, or nobody can mean."""
    if not 0 <= value <= LONGEST:
        raise SettingsRefused(f"lifetimes: {value} s must be between 0 and ten years ({LONGEST} s)")
    return timedelta(seconds=value)


def _words(failure: Exception) -> str:
    if isinstance(failure, OSError) and failure.errno is not None:
        return os.strerror(failure.errno)
    return "it is not UTF-8 text"


_UNKNOWN = re.compile(r"unknown field `([^`]+)`")
_STRUCTS: tuple[type[msgspec.Struct], ...] = (
    Settings,
    ClientSettings,
    ExchangeSettings,
    UserSettings,
    ResourceSettings,
    TrustedIssuerSettings,
    KeySetSource,
)
_KNOWN = sorted({name for struct in _STRUCTS for name in struct.__struct_encode_fields__})


def _with_hint(message: str) -> str:
    unknown = _UNKNOWN.search(message)
    near = difflib.get_close_matches(unknown.group(1), _KNOWN, 1) if unknown else []
    return f"{message} (did you mean {near[0]}?)" if near else message
