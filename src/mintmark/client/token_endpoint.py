"""One token request sent, and one answer judged."""

from dataclasses import dataclass
from datetime import timedelta

import msgspec

from mintmark.client.authority import Authority
from mintmark.client.errors import AuthorityUnavailable, TokenRefused
from mintmark.fetch import Fetched, FetchError
from mintmark.protocol.client_authentication import ClientAuthenticationMethod, basic_header
from mintmark.protocol.token import (
    TokenRequest,
    TokenResponse,
    UnreadableTokenResponse,
    encode_form,
)
from mintmark.secret import Secret

__all__ = ["ClientIdentity", "judge", "request_tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdentity:
    """Who asks, and how that is proved."""

    client_id: str
    client_secret: Secret | None
    method: ClientAuthenticationMethod

    def prove(self, parameters: list[tuple[str, str]]) -> tuple[bytes, dict[str, str]]:
        """Body and headers of a form post in this client's name."""
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
        }
        match self.method, self.client_secret:
            case ClientAuthenticationMethod.CLIENT_SECRET_BASIC, Secret() as secret:
                headers["authorization"] = basic_header(self.client_id, secret)
                return encode_form(parameters), headers
            case ClientAuthenticationMethod.CLIENT_SECRET_POST, Secret() as secret:
                own = [("client_id", self.client_id), ("client_secret", secret.reveal())]
                return encode_form([*parameters, *own]), headers
            case _:
                return encode_form([*parameters, ("client_id", self.client_id)]), headers


def request_tokens(
    authority: Authority, identity: ClientIdentity, request: TokenRequest
) -> TokenResponse:
    """Ask once.

    Raises:
        AuthorityUnavailable, TokenRefused.
    """
    body, headers = identity.prove(request.parameters())
    try:
        fetched = authority.fetcher.post(authority.endpoint("token_endpoint"), body, headers)
    except FetchError as failure:
        raise AuthorityUnavailable(failure.reason) from None
    return judge(fetched)


def judge(fetched: Fetched) -> TokenResponse:
    """What an answer of a token endpoint means; no network is needed to find out.

    Raises:
        AuthorityUnavailable, TokenRefused.
    """
    if fetched.status == 200:
        try:
            response = TokenResponse.parse(fetched.body)
        except UnreadableTokenResponse as failure:
            raise TokenRefused("unreadable_response", str(failure)) from None
        # RFC 6749 §7.1: a type that we do not know is a token that we cannot use.
        if response.token_type.lower() != "bearer":
            raise TokenRefused("unknown_token_type", "the token is of a type we do not know")
        return response
    # RFC 9110 §10.2.3: 429 and 503 say when to come back; any 5xx may be better in a moment.
    if fetched.status == 429 or fetched.status >= 500:
        raise AuthorityUnavailable(f"status {fetched.status}", _retry_after(fetched))
    raise _refusal(fetched)


class _Refusal(msgspec.Struct):
    error: str
    error_description: str = ""


def _refusal(fetched: Fetched) -> TokenRefused:
    try:
        refusal = msgspec.json.decode(fetched.body, type=_Refusal)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return TokenRefused("unreadable_response", f"status {fetched.status}")
    return TokenRefused(refusal.error[:100], refusal.error_description[:300])


def _retry_after(fetched: Fetched) -> timedelta | None:
    value = fetched.headers.get("retry-after", "")
    # The form with a date is rare here, and a clock of another machine.
    if value.isascii() and value.isdigit() and len(value) < 8:
        return timedelta(seconds=int(value))
    return None
