"""What somebody wants of a development token: looked at, and turned into its claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec

from mintmark.api.development import LONGEST_LIFE
from mintmark.cli.failure import ExitStatus, Failure
from mintmark.cli.issued import Issued, new_id
from mintmark.cli.moments import parse_duration, parse_moment
from mintmark.jose.errors import JoseError
from mintmark.jose.strict_json import decode_object
from mintmark.protocol.access_token import MAX_ID_LENGTH, MAX_SUB_LENGTH, confirmation_claim
from mintmark.protocol.access_token import text_claim as require_text
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.scope import parse_scope

__all__ = ["TokenRequest"]

DEFAULT_LIFE: Final = timedelta(hours=1)
DEFAULT_CLIENT: Final = "development-client"

_OPTIONS: Final = {
    "sub": "--subject", "client_id": "--client", "aud": "--audience", "scope": "--scope",
    "roles": "--role", "nbf": "--not-before", "exp": "--expires-on",
}  # fmt: skip
_OURS: Final = frozenset({"iss", "iat", "jti", *_OPTIONS})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """The options of `mintmark token create`, as they were written."""

    application: str | None = None
    subject: str | None = None
    client: str | None = None
    audience: tuple[str, ...] = ()
    scope: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    not_before: str | None = None
    expires_on: str | None = None
    valid_for: str | None = None

    def require_sound(self, now: float) -> None:
        """Refuse what no API would take; before a key is made for it."""
        self.issue(now, "")

    def issue(self, now: float, kid: str) -> Issued:
        """What the token will say. Raises `Failure`."""
        subject, client_id = self._who()
        extra = self._extra()
        issued_at = int(now)
        expires_at = self._expiry(issued_at)
        if extra.get("nbf", issued_at) >= expires_at:
            raise _refused("--not-before", "is not before the token expires")
        return Issued(
            id=new_id(),
            subject=subject,
            client_id=client_id,
            audience=self._audience(),
            scope=self._scope(),
            issued_at=issued_at,
            expires_at=expires_at,
            extra=extra,
            kid=kid,
        )

    def _who(self) -> tuple[str, str]:
        if (self.application is None) == (self.subject is None):
            raise _refused("--application, --subject", "name exactly one of the two")
        if self.application is not None:
            if self.client is not None:
                raise _refused("--client", "goes with --subject; an application is its own client")
            name = _text("--application", self.application, MAX_SUB_LENGTH)
            return name, name
        subject = _text("--subject", str(self.subject), MAX_SUB_LENGTH)
        client_id = _text("--client", self.client or DEFAULT_CLIENT, MAX_ID_LENGTH)
        # RFC 9068 §5: the same name twice would be an application that speaks for itself.
        if subject == client_id:
            raise _refused("--client", "is the subject itself; use --application for that")
        return subject, client_id

    def _audience(self) -> tuple[str, ...]:
        if not self.audience:
            raise _refused("--audience", "is missing: the resource identifier of your API")
        return tuple(_text("--audience", one, MAX_ID_LENGTH) for one in self.audience)

    def _scope(self) -> tuple[str, ...]:
        try:
            return tuple(sorted(parse_scope(" ".join(self.scope)))) if self.scope else ()
        except OAuthError as refusal:
            raise _refused("--scope", refusal.description) from None

    def _extra(self) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        for text in self.claims:
            name, equals, value = text.partition("=")
            if not equals:
                raise _refused("--claim", "is written name=value")
            _text("--claim", name, MAX_ID_LENGTH)
            if name in _OURS or name in extra:
                hint = _OPTIONS.get(name, "it is set for you, or given twice")
                raise _refused("--claim", f"does not set {name}: {hint}")
            extra[name] = _value(value)
        if self.roles:
            extra["roles"] = [_text("--role", role, MAX_ID_LENGTH) for role in self.roles]
        if self.not_before is not None:
            extra["nbf"] = int(parse_moment("--not-before", self.not_before).timestamp())
        _require_readable(extra)
        return extra

    def _expiry(self, issued_at: int) -> int:
        if self.expires_on is not None and self.valid_for is not None:
            raise _refused("--expires-on, --valid-for", "say one of the two")
        if self.expires_on is not None:
            option = "--expires-on"
            life = parse_moment(option, self.expires_on).timestamp() - issued_at
        else:
            option = "--valid-for"
            life = (
                DEFAULT_LIFE if self.valid_for is None else parse_duration(option, self.valid_for)
            ).total_seconds()
        if life < 1:
            raise _refused(option, "ends the token before it begins")
        if life > LONGEST_LIFE.total_seconds():
            raise _refused(option, "makes it last more than 24 hours")
        return issued_at + int(life)


def _value(text: str) -> Any:
    # Numbers, `true`, lists and objects are JSON; what is not JSON is the text itself.
    try:
        return msgspec.json.decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return text


def _require_readable(extra: Mapping[str, Any]) -> None:
    """As an API reads it: a token that nobody can read is not made."""
    try:
        decode_object(msgspec.json.encode(extra))
        if "cnf" in extra:
            confirmation_claim(extra["cnf"])
    except JoseError as refusal:
        raise _refused("--claim", refusal.reason) from None
    except (ValueError, RecursionError):
        raise _refused("--claim", "holds what cannot be written as JSON") from None


def _text(option: str, text: str, longest: int) -> str:
    try:
        return require_text({option: text}, option, longest)
    except JoseError as refusal:
        raise Failure(refusal.reason, ExitStatus.TOKEN) from None


def _refused(option: str, reason: str) -> Failure:
    return Failure(f"{option}: {reason}", ExitStatus.TOKEN)
