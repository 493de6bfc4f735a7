"""An assertion given for a token (RFC 7523)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import final

from mintmark.client.authority import Authority
from mintmark.client.errors import ProofUnavailable
from mintmark.client.keys import SubjectKey
from mintmark.client.manager import Acquired, TokenManager
from mintmark.client.subject import SubjectToken
from mintmark.client.subject_recipe import Place, SubjectRecipe
from mintmark.client.token_endpoint import ClientIdentity
from mintmark.protocol.jwt_bearer import JwtBearerRequest
from mintmark.secret import Secret

__all__ = ["AssertedToken"]


@final
class AssertedToken(SubjectRecipe):
    """A token for whomever an assertion is about (RFC 7523 §2.1).

    An assertion that is given is the key itself. One that is made is made anew for each request,
    so that none is used twice; then the key has the name of whom they are about.
    """

    def __init__(
        self,
        authority: Authority,
        identity: ClientIdentity,
        manager: TokenManager,
        key: SubjectKey,
        assertion: Secret | Callable[[], Secret],
        about: str | None,
    ) -> None:
        if isinstance(assertion, Secret):
            super().__init__(authority, identity, manager, key, assertion)
        else:
            if not about:
                raise ValueError("subject: whom are these assertions about? The key needs it")
            # The name is no token, so the two kinds of key must not be able to meet.
            named = replace(key, extra=key.extra | {("about", about)})
            super().__init__(authority, identity, manager, named, assertion)
        self._assertion = assertion

    def _place(self) -> Place:
        if isinstance(self._assertion, Secret):
            return super()._place()
        return self._slot(b""), partial(self._assert, self._assertion)

    def _assert(self, make: Callable[[], Secret]) -> Acquired:
        try:
            assertion = make()
        except Exception as failure:  # noqa: BLE001 -- a vault's own exceptions are of any type
            # The type alone, and no cause: the message may quote what was being signed.
            raise ProofUnavailable(f"the assertion: {type(failure).__name__}") from None
        if not isinstance(assertion, Secret):
            raise ProofUnavailable("the assertion: the callable gave no Secret")
        return self._acquire((SubjectToken(assertion), None))

    def _request(self, subject: Secret, actor: Secret | None) -> JwtBearerRequest:
        assert actor is None
        extra = dict(self._key.extra)
        return JwtBearerRequest(
            assertion=subject,
            scope=self._key.scope or None,
            resource=tuple(sorted(self._key.resource)),
            claims=extra.get("claims"),
            authorization_details=extra.get("authorization_details"),
        )
