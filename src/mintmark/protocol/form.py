"""Parameters off the wire, each at most once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self, TypeVar
from urllib.parse import parse_qsl

from mintmark.protocol.errors import ErrorCode, OAuthError

__all__ = ["MAX_PARAMETERS", "Form"]

T = TypeVar("T")

MAX_PARAMETERS = 64
"""Our longest message has a third of that; a thousand parameters are an attack on the parser."""

REPEATABLE = frozenset({"resource", "audience"})
"""RFC 8707 §2 and RFC 8693 §2.1 let these come several times; nothing else may."""


@dataclass(frozen=True, slots=True)
class Form:
    """The parameters of one request, from a query or an urlencoded body."""

    values: Mapping[str, tuple[str, ...]]

    @classmethod
    def parse(cls, encoded: str | bytes) -> Self:
        """Raises `OAuthError(INVALID_REQUEST)` on bad encoding or a repeated parameter."""
        try:
            text = encoded if isinstance(encoded, str) else encoded.decode("ascii")
            pairs = parse_qsl(
                text, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
            )
        except ValueError:
            # `from None`: the refused bytes may be a secret, and would show in a traceback.
            raise OAuthError(ErrorCode.INVALID_REQUEST, "the parameters cannot be read") from None
        values: dict[str, tuple[str, ...]] = {}
        for name, value in pairs:
            # RFC 6749 §3.1: a parameter without a value counts as absent.
            if not value:
                continue
            # RFC 6749 §3.2: parameters are not repeated, known or unknown.
            if name in values and name not in REPEATABLE:
                raise OAuthError(ErrorCode.INVALID_REQUEST, "a parameter came more than once")
            values[name] = (*values.get(name, ()), value)
        return cls(values)

    def required(self, name: str, read: Callable[[str], T]) -> T:
        """Raises `OAuthError(INVALID_REQUEST)` when the parameter is missing."""
        found = self.values.get(name)
        if found is None:
            raise OAuthError(ErrorCode.INVALID_REQUEST, f"{name} is missing")
        return read(found[0])

    def optional(self, name: str, read: Callable[[str], T]) -> T | None:
        """None when the parameter is absent or empty."""
        found = self.values.get(name)
        return None if found is None else read(found[0])

    def every(self, name: str) -> tuple[str, ...]:
        """All values of a parameter that may repeat, in order."""
        return self.values.get(name, ())
