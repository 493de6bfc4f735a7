"""One token request sent, and one answer judged."""

from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from mintmark.client.authority import Authority
from mintmark.client.errors import AuthorityUnavailable, TokenRefused
from mintmark.client.proof import ClientProof, ProofAudience
from mintmark.client.responses import RegisteredResponses
from mintmark.fetch import Fetched, FetchError
from mintmark.protocol.token import TokenRequest, TokenResponse, UnreadableTokenResponse

__all__ = ["ClientIdentity", "judge", "refusal_of", "request_tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdentity:
    """Who asks, and how that is proved."""

    client_id: str
    proof: ClientProof
    responses: RegisteredResponses = field(default_factory=RegisteredResponses)

    def post(
        self, authority: Authority, endpoint: str, parameters: list[tuple[str, str]]
    ) -> Fetched:
        """Send a form in this client's name. Every call proves it anew: W-101.

        Args:
            endpoint: its name in the server's metadata.

        Raises:
            AuthorityUnavailable: no answer came, or (`ProofUnavailable`) nothing was sent.
        """
        url = authority.endpoint(endpoint)
        audience = ProofAudience(
            issuer=authority.issuer, token_endpoint=authority.endpoint("token_endpoint")
        )
        body, headers = self.proof.prove(
            parameters,
            client_id=self.client_id,
            audience=audience,
            now=authority.clock.timestamp(),
        )
        try:
            return authority.fetcher.post(url, body, headers)
        except FetchError as failure:
            raise AuthorityUnavailable(failure.reason) from None


def request_tokens(
    authority: Authority, identity: ClientIdentity, request: TokenRequest
) -> TokenResponse:
    """Ask once.

    Raises:
        AuthorityUnavailable, TokenRefused.
    """
    return judge(identity.post(authority, "token_endpoint", request.parameters()))


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
    raise refusal_of(fetched)


def refusal_of(fetched: Fetched) -> AuthorityUnavailable | TokenRefused:
    """What an answer without success means, at every endpoint a client posts to."""
    # RFC 9110 §10.2.3: 429 and 503 say when to come back; any 5xx may be better in a moment.
    if fetched.status == 429 or fetched.status >= 500:
        return AuthorityUnavailable(f"status {fetched.status}", _retry_after(fetched))
    return _refusal(fetched)


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
