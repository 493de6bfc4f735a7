"""An issuer of tokens that only it can read: what is known of it, and how it is asked."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, final
from urllib.parse import urlsplit

from mintmark.api.client_proof import ClientProof
from mintmark.api.clock_drift import ClockComparison
from mintmark.api.config import TrustedIssuer
from mintmark.api.issuer_keys import IssuerKeys, KeysMissing
from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.fetch import Fetched, Fetcher, FetchError, FetchPolicy, FetchRefused, require_safe_url
from mintmark.forks import begin_again_after_fork
from mintmark.jose.algorithms import ALL_ALGORITHMS, Algorithm
from mintmark.jose.errors import KeyNotFound, Malformed
from mintmark.jose.key_set import KeySet
from mintmark.protocol.introspection import (
    MEDIA_TYPE,
    IntrospectionRequest,
    IntrospectionResponse,
    read_introspection,
    read_signed_introspection,
)
from mintmark.protocol.metadata import ServerMetadata, UnusableMetadata, openid_configuration_url
from mintmark.secret import Secret

__all__ = ["IssuerAnswers", "OpaqueIssuer", "UnusableAnswer"]

LONGEST_CACHE: Final = timedelta(minutes=10)
KEEP_ENDPOINT: Final = timedelta(hours=1)
AGAIN_AFTER: Final = timedelta(seconds=1)

# RFC 9110 §15.5.2: these speak of the server or of our own credentials, and not of one token.
_FOR_EVERYBODY: Final = frozenset({401, 403, 429, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class OpaqueIssuer:
    """An issuer whose tokens are asked about (RFC 7662), and everything that belongs to it."""

    issuer: str
    audience: str
    client_proof: ClientProof

    introspection_endpoint: str | None = None
    """None: as the issuer's metadata says, and then on the issuer's own host only."""

    signed: Literal["forbid", "accept", "require"] = "forbid"
    """Signed answers (RFC 9701): they prove who said it, to whom, and when."""

    algorithms: frozenset[Algorithm] = ALL_ALGORITHMS
    decrypt: Callable[[str], bytes] | None = field(default=None, repr=False)
    """Opens an encrypted answer: the JWE in, the signed JWT out. Raises `JoseError`."""

    cache: timedelta = timedelta(seconds=60)
    """How long a revoked token may still be taken; zero asks every time."""

    cache_refused: timedelta = timedelta(seconds=10)
    unknown_per_peer: int = 600
    """Questions a minute about tokens that turn out to be no good, from one address."""

    skew: timedelta = timedelta(seconds=30)
    shape: str = r"[A-Za-z0-9\-._~+/]+=*"
    """What a token of this issuer looks like; others are refused unasked."""

    longest: int = 2048
    refuse_jwt: bool = False
    """Whether what looks like a signed or encrypted JWT is refused unasked."""

    policy: FetchPolicy = field(default_factory=FetchPolicy)

    def __post_init__(self) -> None:
        if not self.audience:
            raise ValueError("audience: an API without a name of its own takes everybody's tokens")
        if not self.algorithms:
            raise ValueError("algorithms: at least one is needed")
        for name, limit in (("cache", LONGEST_CACHE), ("cache_refused", LONGEST_CACHE),
                            ("skew", timedelta(minutes=5))):  # fmt: skip
            if not timedelta(0) <= getattr(self, name) <= limit:
                raise ValueError(f"{name} ({getattr(self, name)}) must be between 0 and {limit}")
        for name in ("issuer", "introspection_endpoint"):
            try:
                require_safe_url(getattr(self, name) or self.issuer, self.policy)
            except FetchRefused as refusal:
                raise ValueError(f"{name}: {refusal.reason}") from None


class UnusableAnswer(Exception):
    """The issuer answered, and it was no answer to the question.

    `for_everybody`: the next question would fare no better.
    """

    def __init__(self, reason: str, *, for_everybody: bool = False) -> None:
        super().__init__(reason)
        self.for_everybody = for_everybody


@final
class IssuerAnswers:
    """One question and its answer, as they go over the wire. For threads, not for event loops."""

    def __init__(
        self,
        settings: OpaqueIssuer,
        clock: Clock,
        events: Events,
        keys: IssuerKeys | KeySet | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._clocks = ClockComparison(settings.issuer, settings.skew, events)
        self.begin()
        begin_again_after_fork(self)
        self._endpoint = settings.introspection_endpoint
        self._look_again_at = float("-inf")
        self._keys = keys
        self._own: IssuerKeys | None = None
        if keys is None and settings.signed != "forbid":
            trusted = TrustedIssuer(
                issuer=settings.issuer,
                audience=settings.audience,
                algorithms=settings.algorithms,
                policy=settings.policy,
            )
            self._own = self._keys = IssuerKeys(trusted, clock, events)

    def begin(self) -> None:
        """What belongs to one process: connections, and a lock that nobody holds."""
        self._fetcher = Fetcher(self._settings.policy)
        self._lock = threading.Lock()

    def ask(self, token: Secret) -> IntrospectionResponse:
        """What the issuer says of this token.

        Raises:
            UnusableAnswer, FetchError, UnusableMetadata, KeysMissing, JoseError.
        """
        settings = self._settings
        parameters = IntrospectionRequest(token=token).parameters()
        now = self._clock.timestamp()
        endpoint = self._where(now)
        now = self._clock.timestamp()
        body, headers = settings.client_proof.prove(parameters, audience=settings.issuer, now=now)
        headers["accept"] = _ACCEPT[settings.signed]
        answer = self._fetcher.post(endpoint, body, headers)
        self._clocks.answered(answer.headers, now, self._clock.timestamp())
        return self._read(answer)

    def close(self) -> None:
        self._fetcher.close()
        if self._own is not None:
            self._own.close()

    def _where(self, now: float) -> str:
        if self._settings.introspection_endpoint is not None:
            return self._settings.introspection_endpoint
        with self._lock:
            if now >= self._look_again_at:
                self._look_again_at = now + AGAIN_AFTER.total_seconds()
                try:
                    self._endpoint = self._look_up()
                    self._look_again_at = now + KEEP_ENDPOINT.total_seconds()
                except (FetchError, UnusableMetadata):
                    # An address that was right an hour ago is likelier to be right than none.
                    if self._endpoint is None:
                        raise
            if self._endpoint is None:
                raise UnusableMetadata("the metadata could not be had a moment ago")
            return self._endpoint

    def _look_up(self) -> str:
        issuer = self._settings.issuer
        document = self._fetcher.get(openid_configuration_url(issuer))
        if document.status != 200:
            raise UnusableMetadata(f"the metadata answer has status {document.status}")
        endpoint = ServerMetadata.parse(document.body, issuer=issuer).introspection_endpoint
        if endpoint is None:
            raise UnusableMetadata("the metadata has no introspection_endpoint")
        # Tokens go there, and what proves who we are: to the issuer's own site, and no other.
        if urlsplit(endpoint).hostname != urlsplit(issuer).hostname:
            raise UnusableMetadata("introspection_endpoint is on another host")
        return endpoint

    def _read(self, answer: Fetched) -> IntrospectionResponse:
        if answer.status != 200:
            everybody = answer.status in _FOR_EVERYBODY
            raise UnusableAnswer(f"status {answer.status}", for_everybody=everybody)
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        # RFC 7662 §2.2, RFC 9701 §5: the form is told by its media type and not guessed.
        if kind == "application/json" and self._settings.signed != "require":
            return read_introspection(answer.body)
        if kind == MEDIA_TYPE and self._settings.signed != "forbid":
            return self._read_signed(answer.body)
        raise UnusableAnswer("the answer is not of the form that was asked for")

    def _read_signed(self, body: bytes) -> IntrospectionResponse:
        try:
            jwt = body.decode("ascii")
        except UnicodeDecodeError:
            raise Malformed("not a signed answer") from None
        now = self._clock.timestamp()
        keys = self._current_keys(now)
        try:
            return self._check(jwt, keys, now)
        except KeyNotFound:
            return self._check(jwt, self._fresher_keys(keys, now), now)

    def _check(self, jwt: str, keys: KeySet, now: float) -> IntrospectionResponse:
        settings = self._settings
        return read_signed_introspection(
            jwt,
            issuer=settings.issuer,
            # RFC 9701 §5: `aud` names the API, which has two names with its issuer.
            audiences={settings.client_proof.client_id, settings.audience},
            keys=keys,
            algorithms=settings.algorithms,
            now=now,
            decrypt=settings.decrypt,
        )

    def _current_keys(self, now: float) -> KeySet:
        if not isinstance(self._keys, IssuerKeys):
            return self._keys or KeySet(())
        keys = self._keys.usable(now)
        if keys is None:
            self._wait(self._keys.may_fetch(now))
            keys = self._keys.usable(now)
        if keys is None:
            raise KeysMissing("no keys to check the signed answer with")
        return keys

    def _fresher_keys(self, keys: KeySet, now: float) -> KeySet:
        if not isinstance(self._keys, IssuerKeys):
            return keys
        self._wait(self._keys.may_fetch(now))
        return self._keys.require()

    def _wait(self, flight: Future[None] | None) -> None:
        if flight is not None:
            # Two documents are fetched, each within its own limit; closing ends neither wait.
            flight.result(2 * self._settings.policy.timeout.total_seconds() + 1)


_ACCEPT: Final = {
    "forbid": "application/json",
    "accept": f"{MEDIA_TYPE}, application/json;q=0.9",
    "require": MEDIA_TYPE,
}
