"""`WWW-Authenticate`: written by an API, read by a client (RFC 6750 §3, RFC 9110 §11.6.1)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["Challenge", "parse_challenges", "render_challenge"]


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge: a scheme, and parameters with lower-case names."""

    scheme: str
    parameters: Mapping[str, str]

    def is_for(self, scheme: str) -> bool:
        return self.scheme.lower() == scheme.lower()


def render_challenge(scheme: str, parameters: Iterable[tuple[str, str]]) -> str:
    """One challenge as text; values are quoted, and what no header may hold is dropped."""
    rendered = ", ".join(f'{name}="{_quoted(value)}"' for name, value in parameters)
    return f"{scheme} {rendered}" if rendered else scheme


def _quoted(value: str) -> str:
    # RFC 6750 §3: printable ASCII without quote and backslash. Anything else would end the
    # value early, or the header itself.
    return "".join(
        character if " " <= character <= "~" and character not in '"\\' else "?"
        for character in value
    )


_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105 -- the grammar of RFC 9110 §5.6.2
_PARAMETER = re.compile(rf'({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')
_SCHEME = re.compile(rf"({_TOKEN})(?:[ \t]+|(?=,)|$)")
_SEPARATOR = re.compile(r"[ \t]*(?:,[ \t]*)*")
MAX_LENGTH = 8192


def parse_challenges(values: Iterable[str]) -> tuple[Challenge, ...]:
    """All challenges of all `WWW-Authenticate` fields, in order (RFC 9110 §11.6.1).

    Reading ends quietly at the first thing that is no challenge: the header comes from
    outside, and what was understood so far still helps. Scheme-only and `token68` challenges
    come without parameters.
    """
    found: list[Challenge] = []
    for value in values:
        found.extend(_parse_field(value[:MAX_LENGTH]))
    return tuple(found)


def _parse_field(value: str) -> list[Challenge]:
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    position = _skip(value, 0)
    while position < len(value):
        parameter = _PARAMETER.match(value, position) if found else None
        if parameter is not None:
            name, quoted, plain = parameter.groups()
            text = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters.setdefault(name.lower(), text)
            position = _skip(value, parameter.end())
            continue
        scheme = _SCHEME.match(value, position)
        if scheme is None:
            break
        parameters = {}
        found.append(Challenge(scheme.group(1), parameters))
        position = _skip_token68(value, scheme.end())
    return found


def _skip(value: str, position: int) -> int:
    match = _SEPARATOR.match(value, position)
    return match.end() if match else position


_TOKEN68 = re.compile(r"[A-Za-z0-9\-._~+/]+=*[ \t]*(?:,|$)")


def _skip_token68(value: str, position: int) -> int:
    match = _TOKEN68.match(value, position)
    return _skip(value, match.end() if match else position)
