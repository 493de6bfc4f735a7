"""A token given for another (RFC 8693)."""

from typing import final

from mintmark.client.errors import TokenRefused
from mintmark.client.subject_recipe import SubjectRecipe
from mintmark.client.token_endpoint import judge_as, require_type
from mintmark.fetch import Fetched, FetchPolicy
from mintmark.protocol.token_exchange import (
    NOT_APPLICABLE,
    USABLE_AS_ACCESS_TOKEN,
    TokenExchangeRequest,
    TokenExchangeResponse,
)
from mintmark.secret import Secret

__all__ = ["ExchangedToken"]


@final
class ExchangedToken(SubjectRecipe):
    """Whoever is being served, at another API (RFC 8693 §2.1).

    The key has the whole request: the subject's token, the actor's, resources, audiences, scope,
    types and details. A token of one person is never found by another.
    """

    def _request(self, subject: Secret, actor: Secret | None) -> TokenExchangeRequest:
        extra = dict(self._key.extra)
        return TokenExchangeRequest(
            subject_token=subject,
            subject_token_type=extra["subject_token_type"],
            actor_token=actor,
            actor_token_type=extra["actor_token_type"] if actor else None,
            requested_token_type=extra["requested_token_type"],
            scope=self._key.scope or None,
            resource=tuple(sorted(self._key.resource)),
            audience=tuple(sorted(self._key.audience)),
            authorization_details=extra.get("authorization_details"),
        )

    def _bounds(self) -> tuple[frozenset[str], FetchPolicy]:
        if self._requested not in USABLE_AS_ACCESS_TOKEN:
            raise ValueError("what was asked for is no access token: it does not go on requests")
        return super()._bounds()

    @property
    def _requested(self) -> str:
        return dict(self._key.extra)["requested_token_type"]

    def _judge(self, fetched: Fetched) -> TokenExchangeResponse:
        response = judge_as(fetched, TokenExchangeResponse)
        # RFC 8693 §2.2.1: the server may issue another type. Whatever was going to be done with the
        # token, it was going to be done with the type that was asked for.
        if response.issued_token_type != self._requested:
            raise TokenRefused(
                "unexpected_token_type", "another type was issued than was asked for"
            )
        usable = self._requested in USABLE_AS_ACCESS_TOKEN
        # RFC 8693 §2.2.1: N_A says that this is no access token, and nothing else says so.
        require_type(response, self._identity.token_type if usable else NOT_APPLICABLE)
        return response
