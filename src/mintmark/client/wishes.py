"""What one sign-in asks for beyond the usual, and what must come of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from mintmark.client.attempt import Demands
from mintmark.client.errors import StepUpRequired
from mintmark.protocol.authorization import Prompt
from mintmark.protocol.scope import Scope
from mintmark.secret import Secret

__all__ = ["Wishes"]

# What `AuthorizationRequest` says, what stands for it, what a signed one says of itself, and what
# proves who pushes it.
OURS: Final = frozenset(
    {
        *("response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "resource"),
        *("code_challenge", "code_challenge_method", "prompt", "max_age", "login_hint", "claims"),
        *("ui_locales", "acr_values", "id_token_hint", "display", "authorization_details"),
        *("dpop_jkt", "response_mode", "request", "request_uri", "registration"),
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti"),
        *("client_secret", "client_assertion", "client_assertion_type"),
    }
)
"""Whoever could set one of these from outside could undo what it protects from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The options of `LoginFlow.begin`, and what a challenge adds to them."""

    prompt: frozenset[Prompt] = frozenset()
    max_age: timedelta | None = None
    acr_values: tuple[str, ...] = ()
    login_hint: str | None = None
    id_token_hint: Secret | None = None
    ui_locales: str | None = None
    display: str | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)
    authorization_details: tuple[Mapping[str, Any], ...] = ()
    dpop_jkt: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    scope: Scope = frozenset()

    def __post_init__(self) -> None:
        taken = OURS & self.extra.keys()
        if taken:
            raise ValueError(f"extra must not say {', '.join(sorted(taken))}")
        if not all(isinstance(one.get("type"), str) for one in self.authorization_details):
            raise ValueError("each of authorization_details says its type: RFC 9396 §2")

    def stepped_up(self, step_up: StepUpRequired) -> "Wishes":
        """The same, and all that the API wants besides."""
        ages = [age for age in (self.max_age, step_up.max_age) if age is not None]
        return replace(
            self,
            max_age=min(ages, default=None),
            acr_values=step_up.acr_values or self.acr_values,
            claims=_merged(self.claims, step_up.claims or {}),
            scope=self.scope | step_up.scope,
        )

    def demands(self) -> Demands:
        """What has to come of it."""
        claims = self.claims.get("id_token", {})
        acr, sub = (_member(claims, name) for name in ("acr", "sub"))
        return Demands(
            max_age=self.max_age,
            # OIDC Core §5.5.1.1: `acr_values` alone is a wish; here it is meant.
            acr_values=self.acr_values or (_values(acr) if acr.get("essential") else ()),
            # OIDC Core §5.5.1: a `sub` with a value asks for this person.
            subject=next(iter(_values(sub)), None),
            scope=self.scope,
        )


def _merged(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Section by section; where both name a claim, the API's word is the newer one."""
    return {
        section: {**(ours.get(section) or {}), **(theirs.get(section) or {})}
        for section in [*ours, *(one for one in theirs if one not in ours)]
    }


def _member(claims: Any, name: str) -> Mapping[str, Any]:
    found = claims.get(name) if isinstance(claims, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _values(asked: Mapping[str, Any]) -> tuple[str, ...]:
    values = asked.get("values", [asked.get("value")])
    return tuple(one for one in values if isinstance(one, str)) if isinstance(values, list) else ()
