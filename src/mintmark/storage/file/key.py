"""The key that seals what a folder keeps: made at its first use, beside the folder."""

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from mintmark.secret import Secret
from mintmark.storage.file.private import (
    read_private,
    require_private_folder,
    write_private,
)

__all__ = ["KeyFileUnusable", "key_file"]

_KEY: Final = re.compile(rb"[A-Za-z0-9_-]{43}\n?")


class KeyFileUnusable(Exception):
    """It cannot be read or made, or holds no key. It is never replaced: entries would be lost."""


def key_file(path: str | os.PathLike[str]) -> Secret:
    """32 random bytes in base64url, from a file that is made if it is not there.

    All processes that race for the first use get the same key.

    Raises:
        NotPrivate: others can read the file, or could put another one in its place.
        KeyFileUnusable: the disk says no, or the file holds something else.
    """
    file = Path(path).absolute()
    try:
        require_private_folder(file.parent)
        with suppress(FileNotFoundError):
            return _read(file)
        _make(file)
        return _read(file)
    except OSError as failure:
        raise KeyFileUnusable(f"{file.name}: {type(failure).__name__}") from None


def _read(file: Path) -> Secret:
    content = read_private(file)
    if _KEY.fullmatch(content) is None:
        raise KeyFileUnusable(f"{file.name} holds no key of 32 bytes in base64url")
    return Secret(content.decode().rstrip("\n"))


def _make(file: Path) -> None:
    new = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        write_private(new, Secret.generate().reveal().encode() + b"\n", durable=True)
        # A link is made in one step and never in the place of another: the first one stays.
        with suppress(FileExistsError):
            os.link(new, file)
    finally:
        new.unlink(missing_ok=True)
