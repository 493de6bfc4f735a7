"""Tokens that developers make for themselves, taken by an API in development and nowhere else.

`mintmark token` makes them, with a key that lies under the user's profile. An API reads that key's
file; it fetches nothing. The issuer's name ends in `.invalid`, which nobody can own (RFC 6761
§6.4), so that no real server is ever mistaken for it.
"""

import hashlib
import os
import re
import stat
import sys
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Final, final

from mintmark.api.config import TrustedIssuer
from mintmark.api.events import DevelopmentTokensTrusted, KeysFetched, KeysUnavailable
from mintmark.api.key_source import KeysMissing
from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.errors import KeyRefused
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey

__all__ = [
    "ALGORITHM",
    "ENVIRONMENT_VARIABLE",
    "LONGEST_LIFE",
    "DevelopmentKeys",
    "DevelopmentRefused",
    "issuer_of",
    "key_file",
    "project_of",
    "read_key",
    "require_development",
    "require_private",
    "require_project",
    "trust_development_tokens",
]

ALGORITHM: Final = Algorithm.ES256
ENVIRONMENT_VARIABLE: Final = "MINTMARK_ENVIRONMENT"
DEVELOPMENT: Final = "development"
LONGEST_LIFE: Final = timedelta(hours=24)
LOOK_AGAIN_AFTER: Final = 1.0
MAX_KEY_LENGTH: Final = 4096

_PROJECT: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


class DevelopmentRefused(ValueError):
    """Development tokens cannot be made or taken here. One line: what, and why."""


def require_project(name: str) -> str:
    """A name that is good for a folder and an issuer, and for nothing above them."""
    if _PROJECT.fullmatch(name) is None or ".." in name:
        raise DevelopmentRefused(
            "project: a name has small letters, digits, '-', '_' and '.', 64 at most"
        )
    return name


def project_of(folder: Path) -> tuple[str, str]:
    """The project in this folder, and where its name comes from.

    `project = "..."` of `mintmark.toml`, or else the folder's name and a digest of its whole
    path: two folders of one name are two projects.
    """
    settings = folder / "mintmark.toml"
    try:
        named = tomllib.loads(settings.read_text("utf-8")).get("project")
    except FileNotFoundError:
        named = None
    except (OSError, ValueError):
        raise DevelopmentRefused(f"{settings}: cannot be read, or is not TOML") from None
    if named is not None:
        if not isinstance(named, str):
            raise DevelopmentRefused(f"{settings}: project is no text")
        return require_project(named), settings.name
    path = folder.resolve()
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    words = re.sub(r"[^a-z0-9]+", "-", path.name.lower()).strip("-")[:40].strip("-")
    return f"{words or 'project'}-{digest}", "this folder's path"


def state_folder(project: str, environment: Mapping[str, str]) -> Path:
    """Where everything about a project's development tokens lies: never in the project."""
    # The XDG specification: a relative path is no path. It would lie in the project's folder, and
    # be committed there.
    state = Path(environment.get("XDG_STATE_HOME", ""))
    if not state.is_absolute():
        try:
            state = Path.home() / ".local" / "state"
        except RuntimeError:
            raise DevelopmentRefused("HOME: there is no home folder to keep keys in") from None
    return state / "mintmark" / "dev" / require_project(project)


def key_file(project: str, environment: Mapping[str, str] | None = None) -> Path:
    """The one private key of a project, PKCS #8."""
    return state_folder(project, os.environ if environment is None else environment) / "key.pkcs8"


def issuer_of(project: str) -> str:
    """The `iss` of its tokens; each project has its own."""
    return f"https://development.invalid/{require_project(project)}"


def require_private(path: Path) -> Path:
    """Refuse a key, or its folder, that somebody else could read or put there."""
    if sys.platform == "win32":
        return path  # a profile is private there by its access list
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid():
        raise DevelopmentRefused(f"{path}: is a link, or somebody else's")
    if found.st_mode & 0o077:
        raise DevelopmentRefused(f"{path}: is open to others; take their rights away with chmod")
    return path


def read_key(path: Path) -> SigningKey | None:
    """The key in this file; None when there is no file.

    Raises:
        DevelopmentRefused: there is one that must not be used.
    """
    octets = _read(path)
    return _parse(octets, path) if octets else None


def _read(path: Path) -> bytes:
    try:
        require_private(path.parent)
        require_private(path)
        with path.open("rb") as file:
            return file.read(MAX_KEY_LENGTH)
    except FileNotFoundError:
        return b""
    except OSError as failure:
        raise DevelopmentRefused(f"{path}: {failure.strerror}") from None


def _parse(octets: bytes, path: Path) -> SigningKey:
    try:
        return SigningKey.from_pkcs8(octets, ALGORITHM)
    except KeyRefused as refusal:
        raise DevelopmentRefused(f"{path}: {refusal.reason}") from None


@final
class DevelopmentKeys:
    """The key of one project, read from its file, and again at most once a second.

    It is a few octets on this machine's own disk, so it is read where it is asked for.
    """

    def __init__(self, project: str, path: Path, clock: Clock, events: Events) -> None:
        self._issuer = issuer_of(project)
        self._path = path
        self._clock = clock
        self._events = events
        self._lock = Lock()
        self._octets: bytes | None = None
        self._keys: KeySet | None = None
        self._generation = 0
        self._looked_at = float("-inf")
        self._reason = ""

    @property
    def generation(self) -> int:
        # Asked for before a token is taken from memory: a key that was reset ends its tokens.
        self._look_when_due(self._clock.timestamp())
        return self._generation

    @property
    def metadata(self) -> None:
        """A file says nothing of itself."""
        return

    def usable(self, now: float) -> KeySet | None:
        self._look_when_due(now)
        return self._keys

    def may_fetch(self, now: float) -> None:
        """Looks at once: whoever resets a key and makes a token in one second means it."""
        self.fetch(now)

    def fetch(self, now: float) -> None:
        with self._lock:
            self._look(now)

    def failing(self) -> bool:
        return self._keys is None

    def require(self) -> KeySet:
        self._look_when_due(self._clock.timestamp())
        if self._keys is None:
            raise KeysMissing(f"no keys of {self._issuer}: {self._reason}")
        return self._keys

    def close(self) -> None:
        """Nothing is held open."""

    def _look_when_due(self, now: float) -> None:
        # A clock that was set back must not stop the looking.
        if 0 <= now - self._looked_at < LOOK_AGAIN_AFTER:
            return
        with self._lock:
            if not 0 <= now - self._looked_at < LOOK_AGAIN_AFTER:
                self._look(now)

    def _look(self, now: float) -> None:
        self._looked_at = now
        try:
            octets = _read(self._path)
            if octets == self._octets:
                return
            # Nobody has made a token yet: that is known, so a token that says otherwise is wrong.
            keys = KeySet.of(_parse(octets, self._path).public) if octets else KeySet.of()
        except DevelopmentRefused as refusal:
            self._forget(str(refusal))
            return
        self._octets, self._keys, self._reason = octets, keys, ""
        self._generation += 1
        self._events.emit(
            KeysFetched(issuer=self._issuer, keys=len(keys.keys), dropped=0, changed=True)
        )

    def _forget(self, reason: str) -> None:
        if reason == self._reason:
            return
        self._octets, self._keys, self._reason = None, None, reason
        self._generation += 1
        self._events.emit(KeysUnavailable(issuer=self._issuer, reason=reason, stale=False))


def trust_development_tokens(
    project: str | Path,
    audience: str,
    *,
    environment: str | None,
    clock: Clock,
    events: Events,
) -> tuple[TrustedIssuer, DevelopmentKeys]:
    """The issuer of a project's development tokens, and its keys.

    Args:
        project: its name; or its folder, which is asked as `mintmark token` asks it.
        environment: what the application says of where it runs; see `require_development`.

    Raises:
        DevelopmentRefused: this is no development, or the key could be somebody else's.
    """
    require_development(environment)
    name = project_of(project)[0] if isinstance(project, Path) else require_project(project)
    path = key_file(name)
    read_key(path)
    trusted = TrustedIssuer(
        issuer=issuer_of(name),
        audience=audience,
        algorithms=frozenset({ALGORITHM}),
        max_lifetime=LONGEST_LIFE,
    )
    events.emit(DevelopmentTokensTrusted(issuer=trusted.issuer))
    return trusted, DevelopmentKeys(name, path, clock, events)


def require_development(
    stated: str | None = None, variables: Mapping[str, str] | None = None
) -> None:
    """Refuse everything but development, and silence too.

    The application may say it, and so may the environment variable; whichever speaks has to say
    exactly `development`. A setting in the code must not overrule the machine it runs on.

    Raises:
        DevelopmentRefused: saying who said what.
    """
    variables = os.environ if variables is None else variables
    said = {
        "environment": stated,
        ENVIRONMENT_VARIABLE: variables.get(ENVIRONMENT_VARIABLE),
    }
    words = {name: value for name, value in said.items() if value is not None}
    for name, value in words.items():
        if value != DEVELOPMENT:
            raise DevelopmentRefused(
                f"development tokens are trusted in development alone, and {name} is {value!r}"
            )
    if not words:
        raise DevelopmentRefused(
            "development tokens are trusted in development alone: say environment='development'"
            f" or set {ENVIRONMENT_VARIABLE}=development"
        )
