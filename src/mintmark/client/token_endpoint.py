"""One token request sent, and one answer judged."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol, TypeVar

import msgspec

from mintmark.client.authority import Authority
from mintmark.client.binding import Proof, Sender
from mintmark.client.errors import AuthorityUnavailable, TokenRefused
from mintmark.client.interaction import (
    INTERACTION_REQUIRED,
    InteractionRequired,
    read_challenge,
)
from mintmark.client.mtls import ClientCertificate
from mintmark.client.proof import ClientProof, ProofAudience
from mintmark.client.responses import RegisteredResponses
from mintmark.fetch import ClientTls, Fetched, FetchError
from mintmark.protocol.token import TokenResponse, UnreadableTokenResponse

__all__ = [
    "ClientIdentity",
    "TokenMessage",
    "judge",
    "judge_as",
    "refusal_of",
    "request_tokens",
    "require_type",
]

R = TypeVar("R", bound=TokenResponse)


class TokenMessage(Protocol):
    """A token request of any grant."""

    def parameters(self) -> list[tuple[str, str]]: ...


BEARER: Final = "Bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdentity:
    """Who asks, and how that is proved."""

    client_id: str
    proof: ClientProof
    responses: RegisteredResponses = field(default_factory=RegisteredResponses)
    sender: Sender | None = None  # what the tokens asked for are bound to
    certificate: ClientCertificate | None = None  # shown on every connection to the server

    @property
    def token_type(self) -> str:
        """Of every token that is asked for."""
        return self.sender.scheme if self.sender else BEARER

    def thumbprint(self) -> str:
        """Names what tokens are bound to; empty for nothing. Raises `TokenUnavailable`."""
        return self.sender.thumbprint() if self.sender else ""

    def shown(self) -> ClientTls | None:
        """The certificate of this moment, for a connection. Raises `ProofUnavailable`."""
        return self.certificate.current() if self.certificate else None

    def post(
        self, authority: Authority, endpoint: str, parameters: list[tuple[str, str]]
    ) -> Fetched:
        """Send a form in this client's name. Every call proves it anew: W-101.

        Args:
            endpoint: its name in the server's metadata.

        Raises:
            AuthorityUnavailable: no answer came, or (`ProofUnavailable`) nothing was sent.
            TokenRefused: the endpoint is not on https, where a certificate is to be shown.
        """
        sender = self.sender if endpoint == "token_endpoint" else None
        url = self.address(authority, endpoint)
        fetched, used = self._send(authority, url, parameters, sender)
        if sender is None:
            return fetched
        fresh = sender.learn(url, fetched.headers.get("dpop-nonce"))
        # RFC 9449 §8. Once: a server that never has enough must not be asked for ever.
        if fresh is not None and fresh != used and _wants_nonce(fetched):
            fetched, _ = self._send(authority, url, parameters, sender)
            sender.learn(url, fetched.headers.get("dpop-nonce"))
        return fetched

    def address(self, authority: Authority, endpoint: str) -> str:
        """Where this client asks: another place, if it shows a certificate. Raises as `post` does."""
        url = authority.endpoint(endpoint)
        if self.certificate is None:
            return url
        # RFC 8705 §5: there the server asks for certificates, at the other address perhaps not.
        alias = getattr(authority.metadata().mtls_endpoint_aliases, endpoint, None)
        url = alias or url
        if not url.startswith("https://"):
            raise TokenRefused("endpoint_not_https", "a certificate is shown over https alone")
        return url

    def _send(
        self,
        authority: Authority,
        url: str,
        parameters: list[tuple[str, str]],
        sender: Sender | None,
    ) -> tuple[Fetched, str | None]:
        """The answer, and the nonce that was sent."""
        audience = ProofAudience(
            issuer=authority.issuer, token_endpoint=authority.endpoint("token_endpoint")
        )
        now = authority.clock.timestamp()
        body, headers = self.proof.prove(
            parameters, client_id=self.client_id, audience=audience, now=now
        )
        proof = sender.prove("POST", url, None) if sender else Proof()
        try:
            fetched = authority.fetcher.post(
                url, body, {**headers, **proof.headers}, shown=self.shown()
            )
        except FetchError as failure:
            raise AuthorityUnavailable(failure.reason) from None
        return fetched, proof.nonce


def request_tokens(
    authority: Authority, identity: ClientIdentity, request: TokenMessage
) -> TokenResponse:
    """Ask once.

    Raises:
        AuthorityUnavailable, TokenRefused.
    """
    fetched = identity.post(authority, "token_endpoint", request.parameters())
    return judge(fetched, identity.token_type)


def judge(fetched: Fetched, token_type: str = BEARER) -> TokenResponse:
    """What an answer of a token endpoint means; no network is needed to find out.

    Args:
        token_type: what was asked for.

    Raises:
        AuthorityUnavailable, TokenRefused.
    """
    return require_type(judge_as(fetched, TokenResponse), token_type)


def judge_as(fetched: Fetched, kind: type[R]) -> R:
    """The same for another kind of answer, whose `token_type` the caller looks at.

    Raises:
        AuthorityUnavailable, TokenRefused.
    """
    if fetched.status == 200:
        try:
            return kind.parse(fetched.body)
        except UnreadableTokenResponse as failure:
            raise TokenRefused("unreadable_response", str(failure)) from None
    raise refusal_of(fetched)


def refusal_of(fetched: Fetched) -> AuthorityUnavailable | TokenRefused:
    """What an answer means that is not the one that was asked for."""
    # RFC 9110 §10.2.3: 429 and 503 say when to come back; any 5xx may be better in a moment.
    if fetched.status == 429 or fetched.status >= 500:
        return AuthorityUnavailable(f"status {fetched.status}", _retry_after(fetched))
    return _refusal(fetched)


def require_type(response: TokenResponse, token_type: str) -> TokenResponse:
    """The answer, if its token is of the type that was asked for. Raises `TokenRefused`."""
    if response.token_type.lower() == token_type.lower():
        return response
    # RFC 9449 §5: a token that should be bound and is not is thrown away: whoever steals it can
    # use it.
    if token_type == "DPoP":  # noqa: S105 -- a type's name
        raise TokenRefused("token_not_bound", "a bound token was asked for, and another came")
    # RFC 6749 §7.1: a type that we do not know, or did not ask for, is a token we cannot use.
    raise TokenRefused("unknown_token_type", "the token is of a type we do not know")


def _wants_nonce(fetched: Fetched) -> bool:
    refused = fetched.status in {400, 401}
    return refused and _refusal(fetched).error == "use_dpop_nonce"


class _Refusal(msgspec.Struct):
    error: str
    error_description: str = ""
    claims: str = ""


def _refusal(fetched: Fetched) -> TokenRefused:
    try:
        refusal = msgspec.json.decode(fetched.body, type=_Refusal)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return TokenRefused("unreadable_response", f"status {fetched.status}")
    error, description = refusal.error[:100], refusal.error_description[:300]
    if error == INTERACTION_REQUIRED or refusal.claims:
        return InteractionRequired(error, description, read_challenge(refusal.claims))
    return TokenRefused(error, description)


def _retry_after(fetched: Fetched) -> timedelta | None:
    value = fetched.headers.get("retry-after", "")
    # The form with a date is rare here, and a clock of another machine.
    if value.isascii() and value.isdigit() and len(value) < 8:
        return timedelta(seconds=int(value))
    return None
