"""What an operator decides about a server. The defaults are safe to keep."""

from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

from mintmark.jose.algorithms import Algorithm

__all__ = ["LONGEST_ACCESS_TOKEN", "RefreshTokenPolicy", "ServerConfig"]

LONGEST_ACCESS_TOKEN = timedelta(days=1)
"""An API that checks it by itself honours an access token to its end, whatever is revoked. What was
revoked is remembered for as long."""

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshTokenPolicy:
    """How long refresh tokens live, and what a lost answer is forgiven."""

    idle_lifetime: timedelta = timedelta(days=14)
    """Unused for this long, a token dies (RFC 9700 §4.14.2)."""

    absolute_lifetime: timedelta = timedelta(days=90)
    """This long after sign-in the whole family dies, however busy it was."""

    grace: timedelta = timedelta(seconds=30)
    """For this long a spent token gives its one successor out again, in case the answer was lost
    on its way. Zero turns that off: whoever loses an answer signs in again."""

    def __post_init__(self) -> None:
        if not timedelta(0) < self.idle_lifetime <= self.absolute_lifetime:
            raise ValueError(
                f"idle_lifetime ({self.idle_lifetime}) must be above zero and no "
                f"longer than absolute_lifetime ({self.absolute_lifetime})"
            )
        if not timedelta(0) <= self.grace <= timedelta(seconds=60):
            raise ValueError(f"grace ({self.grace}) must be between 0 and 60 seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """One issuer."""

    issuer: str
    insecure_allow_http_on_loopback: bool = False
    access_token_lifetime: timedelta = timedelta(minutes=10)
    code_lifetime: timedelta = timedelta(seconds=60)
    id_token_lifetime: timedelta = timedelta(minutes=5)
    session_lifetime: timedelta = timedelta(hours=12)
    interaction_lifetime: timedelta = timedelta(minutes=10)
    refresh_tokens: RefreshTokenPolicy = field(default_factory=RefreshTokenPolicy)
    signing_algorithm: Algorithm = Algorithm.ES256
    pushed_request_lifetime: timedelta = timedelta(seconds=60)
    require_pushed_requests: bool = False  # RFC 9126 §5
    device_code_lifetime: timedelta = timedelta(minutes=10)
    device_interval: timedelta = timedelta(seconds=5)
    dpop_nonces: bool = False
    """Whether DPoP proofs must carry a nonce of ours: none can then be made ahead of time."""

    def __post_init__(self) -> None:
        require_issuer(self.issuer, insecure_http=self.insecure_allow_http_on_loopback)
        for name in ("access_token_lifetime", "id_token_lifetime", "session_lifetime"):
            if getattr(self, name) < timedelta(seconds=10):
                raise ValueError(f"{name} must be at least 10 seconds")
        if self.access_token_lifetime > LONGEST_ACCESS_TOKEN:
            raise ValueError(f"access_token_lifetime must be at most {LONGEST_ACCESS_TOKEN}")
        # RFC 6749 §4.1.2: ten minutes at most.
        if not timedelta(seconds=5) <= self.code_lifetime <= timedelta(minutes=10):
            raise ValueError(f"code_lifetime ({self.code_lifetime}) must be 5 s to 10 min")

    def url(self, path: str) -> str:
        """An address of this server, below the issuer's own path."""
        return self.issuer.rstrip("/") + path


def require_issuer(issuer: str, *, insecure_http: bool) -> str:
    """Raises `ValueError` unless this may name an issuer (RFC 8414 §2)."""
    parts = urlsplit(issuer)
    if not parts.hostname or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("issuer must be a URL with a host and without query, fragment or user")
    if parts.scheme == "https":
        return issuer
    if parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS and insecure_http:
        return issuer
    raise ValueError(
        "issuer must be https; http is for loopback, with insecure_allow_http_on_loopback = true"
    )
