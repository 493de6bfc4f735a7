"""The introspection endpoint of the token server for tests: right answers, and wrong ones on request."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

import msgspec

from mintmark.jose.jws import sign
from mintmark.jose.keys import SigningKey
from mintmark.protocol import introspection
from mintmark.protocol.form import Form
from mintmark.secret import Secret

if TYPE_CHECKING:
    from mintmark.testing.authority import Fault

__all__ = ["FakeIntrospection"]


@final
class FakeIntrospection:
    """What `/introspect` knows, and how it misbehaves.

    Attributes:
        faults: answers that it gives first, one each.
        changes: members added to or (as None) taken from every answer.
        signed: whether answers are signed (RFC 9701 §5).
        recipient: `aud` of signed answers.
        outer_changes: as `changes`, for the members around `token_introspection`.
        typ: of signed answers.
        key: signs them; the server's own unless given.
        delay: seconds that an answer takes.
        received: each question's `Authorization` and form.
    """

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.changes: dict[str, Any] = {}
        self.signed = False
        self.recipient = ""
        self.outer_changes: dict[str, Any] = {}
        self.typ = introspection.TYP
        self.key: SigningKey | None = None
        self.delay = 0.0
        self.received: list[tuple[str | None, Form]] = []
        self._tokens: dict[bytes, dict[str, Any]] = {}

    def opaque_token(self, claims: Mapping[str, Any]) -> Secret:
        """A token that means these claims, until it is forgotten."""
        token = Secret.generate()
        self._tokens[token.digest()] = dict(claims)
        return token

    def forget(self, token: Secret) -> None:
        """From now on the token is not active."""
        self._tokens.pop(token.digest(), None)

    def answer(
        self, authorization: str | None, form: Form, *, issuer: str, key: SigningKey, now: float
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers."""
        self.received.append((authorization, form))
        time.sleep(self.delay)
        if self.faults:
            fault = self.faults.pop(0)
            return fault.status, fault.body, dict(fault.headers)
        # RFC 7662 §2.1: nobody may ask who does not say who they are.
        if not (authorization or {"client_secret", "client_assertion"} & form.values.keys()):
            return 401, b"{}", {}
        claims = self._tokens.get(form.required("token", Secret).digest())
        said = {"active": claims is not None, **(claims or {})} | self.changes
        said = {name: value for name, value in said.items() if value is not None}
        if not self.signed:
            return 200, msgspec.json.encode(said), {}
        outer = {"iss": issuer, "aud": self.recipient, "iat": int(now), "token_introspection": said}
        outer = {k: v for k, v in (outer | self.outer_changes).items() if v is not None}
        jwt = sign(msgspec.json.encode(outer), self.key or key, typ=self.typ)
        return 200, jwt.encode(), {"content-type": introspection.MEDIA_TYPE}
