"""What `mintmark token` keeps: one key of a project, and of each token what it says.

The text of a token is kept nowhere. It is signed anew from what is written here, by the same key.
Everything lies in one folder that is open to its owner alone; each token is a file of its own, so
that two commands at once cannot lose each other's.
"""

import os
import re
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, final

import msgspec

from mintmark.api.development import (
    ALGORITHM,
    DevelopmentRefused,
    issuer_of,
    key_file,
    read_key,
    require_private,
)
from mintmark.cli.failure import ExitStatus, Failure
from mintmark.jose.keys import SigningKey
from mintmark.protocol.access_token import mint_access_token
from mintmark.secret import Secret

__all__ = ["Issued", "IssuedTokens", "new_id"]

_ID: Final = re.compile(r"[0-9a-f]{12}")


def new_id() -> str:
    """Names a token in the list, and is its `jti`."""
    return secrets.token_hex(6)


class Issued(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything a token says, and by which key: enough to sign it again."""

    id: str
    subject: str
    client_id: str
    audience: tuple[str, ...]
    scope: tuple[str, ...]
    issued_at: int
    expires_at: int
    extra: dict[str, Any]  # further claims: `nbf`, `roles`, and the developer's own
    kid: str

    def mint(self, project: str, key: SigningKey) -> Secret:
        """Its text."""
        return mint_access_token(
            iss=issuer_of(project),
            sub=self.subject,
            aud=self.audience,
            client_id=self.client_id,
            scope=frozenset(self.scope),
            jti=self.id,
            now=datetime.fromtimestamp(self.issued_at, UTC),
            lifetime=timedelta(seconds=self.expires_at - self.issued_at),
            key=key,
            extra=self.extra,
        )

    def state(self, now: float, kid: str | None) -> str:
        """Whether an API would take it now, in a word or two."""
        if self.kid != kid:
            return "key reset"
        if now >= self.expires_at:
            return "expired"
        if now < self.extra.get("nbf", 0):
            return "not yet good"
        return "good"


@final
class IssuedTokens:
    """The key and the list of one project."""

    def __init__(self, project: str, environment: Mapping[str, str]) -> None:
        self.project = project
        self.key_path = key_file(project, environment)
        self._folder = self.key_path.parent
        self._tokens = self._folder / "tokens"

    def key(self) -> SigningKey | None:
        """Raises `DevelopmentRefused` for a key that must not be used."""
        return read_key(self.key_path)

    def key_to_sign_with(self) -> SigningKey:
        """The key; made now if there is none. Of two who make one at once, one wins."""
        found = self.key()
        if found is not None:
            return found
        made = self._write_aside(SigningKey.generate(ALGORITHM).to_pkcs8())
        try:
            # A link appears whole, or not at all where there is one: nobody reads half a key.
            self.key_path.hardlink_to(made)
        except FileExistsError:
            pass
        finally:
            made.unlink()
        return self._require_key()

    def reset_key(self) -> SigningKey:
        """A new key in the old one's place: tokens of the old one are good nowhere any more."""
        self._write_aside(SigningKey.generate(ALGORITHM).to_pkcs8()).replace(self.key_path)
        return self._require_key()

    def add(self, issued: Issued) -> None:
        _make_private(self._tokens)
        with self._open_new(self._path(issued.id)) as file:
            file.write(msgspec.json.encode(issued))

    def get(self, token_id: str) -> Issued:
        path = self._path(token_id)
        try:
            return _parse(path)
        except FileNotFoundError:
            raise _unknown(self.project) from None

    def all(self) -> list[Issued]:
        """In the order in which they were made."""
        every = [_parse(path) for path in self._paths()]
        return sorted(every, key=lambda issued: (issued.issued_at, issued.id))

    def remove(self, token_id: str) -> None:
        try:
            self._path(token_id).unlink()
        except FileNotFoundError:
            raise _unknown(self.project) from None

    def clear(self) -> int:
        """How many there were; also those that cannot be read."""
        paths = list(self._paths())
        for path in paths:
            path.unlink(missing_ok=True)
        return len(paths)

    def _paths(self) -> Iterator[Path]:
        return self._tokens.glob("*.json")

    def _path(self, token_id: str) -> Path:
        # Checked, for it becomes a part of a path.
        if _ID.fullmatch(token_id) is None:
            raise _unknown(self.project)
        return self._tokens / f"{token_id}.json"

    def _require_key(self) -> SigningKey:
        found = self.key()
        if found is None:
            raise DevelopmentRefused(f"{self.key_path}: was taken away just now")
        return found

    def _write_aside(self, octets: bytes) -> Path:
        _make_private(self._folder)
        path = self._folder / f".{secrets.token_hex(8)}.new"
        with self._open_new(path) as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        return path

    @staticmethod
    def _open_new(path: Path) -> Any:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        return os.fdopen(descriptor, "wb")


def _parse(path: Path) -> Issued:
    try:
        return msgspec.json.decode(require_private(path).read_bytes(), type=Issued)
    except msgspec.MsgspecError:
        raise Failure(
            f"{path}: cannot be read", ExitStatus.TOKEN, "`mintmark token clear` takes it away"
        ) from None


def _make_private(folder: Path) -> None:
    """With each folder above it that is missing, open to its owner alone."""
    if not folder.is_dir():
        if folder.parent != folder:
            _make_private_above(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    require_private(folder)


def _make_private_above(folder: Path) -> None:
    for missing in reversed([one for one in (folder, *folder.parents) if not one.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def _unknown(project: str) -> Failure:
    return Failure(
        f"no token of project {project} has this ID", ExitStatus.TOKEN, "see `mintmark token list`"
    )
