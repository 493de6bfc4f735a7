"""A person has to do something before there is a token for them."""

from typing import Final, final

from mintmark.client.errors import TokenRefused
from mintmark.jose.errors import Malformed
from mintmark.jose.strict_json import decode_object

__all__ = ["INTERACTION_REQUIRED", "InteractionRequired", "read_challenge"]

INTERACTION_REQUIRED: Final = "interaction_required"
MAX_CHALLENGE: Final = 4096
"""Characters. It travels on in a header, and longer ones are cut off on the way."""


@final
class InteractionRequired(TokenRefused):
    """The server wants the person themselves: another factor, a consent, a newer sign-in.

    An API cannot ask them. It answers 401 with `claims` in its challenge; the web application
    before it sends the person to sign in with these claims, and calls again.

    `claims` is the JSON text of the challenge, empty if none came that could be read.
    """

    def __init__(self, error: str, description: str = "", claims: str = "") -> None:
        super().__init__(error, description)
        self.args = (error, description, claims)
        self.claims = claims


def read_challenge(claims: str) -> str:
    """The claims challenge of a refusal, if it is a JSON object that can be handed on; else empty."""
    # A line break would end the header that it is going to be put into.
    if len(claims) > MAX_CHALLENGE or not claims.isascii() or not claims.isprintable():
        return ""
    try:
        decode_object(claims.encode())
    except Malformed:
        return ""
    return claims
