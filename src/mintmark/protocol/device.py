"""A device without a browser asks for tokens (RFC 8628): both its requests, and the first answer."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Self

import msgspec

from mintmark.protocol.form import Form
from mintmark.protocol.polling import UnreadableAnswer, read_members, seconds_of, text_of
from mintmark.protocol.scope import Scope, format_scope, parse_scope
from mintmark.secret import Secret

__all__ = ["DeviceAuthorizationRequest", "DeviceAuthorizationResponse", "DeviceCodeRequest"]

INTERVAL = timedelta(seconds=5)
"""RFC 8628 §3.2: between two polls, when the server does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAuthorizationRequest:
    """Asks for a code that somebody enters elsewhere (RFC 8628 §3.1)."""

    scope: Scope | None = None
    resource: tuple[str, ...] = ()

    @classmethod
    def parse(cls, form: Form) -> Self:
        """Raises `OAuthError(INVALID_SCOPE)` on a scope that cannot be read."""
        return cls(scope=form.optional("scope", parse_scope), resource=form.every("resource"))

    def parameters(self) -> list[tuple[str, str]]:
        return [
            *([("scope", format_scope(self.scope))] if self.scope else []),
            *(("resource", one) for one in self.resource),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAuthorizationResponse:
    """The codes, and where to enter one of them (RFC 8628 §3.2)."""

    device_code: Secret
    user_code: str  # is shown to people, and is worth nothing to whoever only reads it
    verification_uri: str
    verification_uri_complete: str | None = None
    expires_in: timedelta
    interval: timedelta = INTERVAL

    def to_json(self) -> bytes:
        members: dict[str, Any] = {
            "device_code": self.device_code.reveal(),
            "user_code": self.user_code,
            "verification_uri": self.verification_uri,
            "expires_in": int(self.expires_in.total_seconds()),
            "interval": int(self.interval.total_seconds()),
        }
        if self.verification_uri_complete is not None:
            members["verification_uri_complete"] = self.verification_uri_complete
        return msgspec.json.encode(members)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """A 200 answer.

        Raises:
            UnreadableAnswer: with a reason that quotes no part of it.
        """
        members = read_members(body)
        device_code = text_of(members, "device_code")
        user_code = text_of(members, "user_code")
        verification_uri = text_of(members, "verification_uri")
        if device_code is None or user_code is None or verification_uri is None:
            raise UnreadableAnswer("a code or the address to enter it is missing")
        expires_in = seconds_of(members, "expires_in")
        if expires_in is None:
            raise UnreadableAnswer("expires_in is missing")
        return cls(
            device_code=Secret(device_code),
            user_code=user_code,
            verification_uri=verification_uri,
            verification_uri_complete=text_of(members, "verification_uri_complete"),
            expires_in=expires_in,
            interval=seconds_of(members, "interval") or INTERVAL,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCodeRequest:
    """Asks whether somebody has approved meanwhile (RFC 8628 §3.4)."""

    grant_type: ClassVar[str] = "urn:ietf:params:oauth:grant-type:device_code"

    device_code: Secret
    resource: tuple[str, ...] = ()

    @classmethod
    def parse(cls, form: Form) -> Self:
        """Raises `OAuthError(INVALID_REQUEST)` on a missing code."""
        return cls(
            device_code=form.required("device_code", Secret), resource=form.every("resource")
        )

    def parameters(self) -> list[tuple[str, str]]:
        return [
            ("grant_type", self.grant_type),
            ("device_code", self.device_code.reveal()),
            *(("resource", one) for one in self.resource),
        ]
