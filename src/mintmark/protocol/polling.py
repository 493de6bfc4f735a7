"""The answers that begin a wait for somebody's approval elsewhere, read strictly."""

from datetime import timedelta
from typing import Any

import msgspec

__all__ = ["UnreadableAnswer", "read_members", "seconds_of", "text_of"]

MAX_TEXT = 2048
LONGEST = 86_400 * 30


class UnreadableAnswer(Exception):
    """A server answered something that is not what was asked for."""


def read_members(body: bytes) -> dict[str, Any]:
    """Raises `UnreadableAnswer`."""
    try:
        members = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UnreadableAnswer("the answer is not JSON") from None
    if not isinstance(members, dict):
        raise UnreadableAnswer("the answer is no JSON object")
    return members


def text_of(members: dict[str, Any], name: str) -> str | None:
    """A text that may be shown on a screen: no control characters, not endless.

    Raises:
        UnreadableAnswer.
    """
    value = members.get(name)
    if value is None:
        return None
    # A terminal obeys what it is shown.
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise UnreadableAnswer(f"{name} is no text that can be shown")
    return value


def seconds_of(members: dict[str, Any], name: str) -> timedelta | None:
    """A positive number of seconds. Raises `UnreadableAnswer`."""
    value = members.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST:
        raise UnreadableAnswer(f"{name} is no positive number of seconds")
    return timedelta(seconds=value)
