"""Scope values and their comparison."""

import re

from mintmark.protocol.errors import ErrorCode, OAuthError

__all__ = ["Scope", "format_scope", "parse_scope", "require_not_wider"]

Scope = frozenset[str]
"""Scope values, case-sensitive, without order (RFC 6749 §3.3)."""

# RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ), joined by single blanks.
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*")
MAX_LENGTH = 4096

# The same few sets are written into every token; sorting them is a tenth of making one.
_formatted: dict[Scope, str] = {}
MAX_FORMATTED = 512


def parse_scope(text: str) -> Scope:
    """Scope values off the wire.

    Raises:
        OAuthError: INVALID_SCOPE when the text is not what RFC 6749 §3.3 allows.
    """
    if len(text) > MAX_LENGTH or _SCOPE.fullmatch(text) is None:
        raise OAuthError(ErrorCode.INVALID_SCOPE, "the scope cannot be read")
    return frozenset(text.split(" "))


def format_scope(scope: Scope) -> str:
    """One text for one set, whatever order it came in."""
    text = _formatted.get(scope)
    if text is None:
        text = " ".join(sorted(scope))
        if len(_formatted) >= MAX_FORMATTED:
            _formatted.clear()
        _formatted[scope] = text
    return text


def require_not_wider(asked: Scope | None, granted: Scope) -> Scope:
    """The scope of a new token: what was asked for, or everything granted.

    Raises:
        OAuthError: INVALID_SCOPE when more is asked for than was granted.
    """
    if asked is None:
        return granted
    # RFC 6749 §6
    if not asked <= granted:
        raise OAuthError(ErrorCode.INVALID_SCOPE, "the scope is wider than what was granted")
    return asked
