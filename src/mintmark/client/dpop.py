"""Tokens bound to a key of this client's: proofs, and the keys they are made with (RFC 9449)."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn, final
from urllib.parse import urlsplit

from mintmark.client.binding import Proof
from mintmark.client.errors import LoginRequired, ProofUnavailable, TokenUnavailable
from mintmark.client.nonces import MemoryNonces, NonceStore, read_nonce
from mintmark.client.stores import UserTokenStore
from mintmark.clock import Clock
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.base64url import decode, encode
from mintmark.jose.errors import JoseError
from mintmark.jose.keys import SigningKey
from mintmark.protocol.dpop import make_proof
from mintmark.secret import Secret

__all__ = ["DPoP", "KeySender", "dump_key", "load_key"]

SESSIONS: Final = 10_000
PORTS: Final = {"https": 443, "http": 80}


@final
class DPoP:
    """Bind every token to a key, so that it is of no use without it.

    Args:
        key: of application tokens, or a callable that gives the one of this moment. Without it
            each `DPoP` makes its own, and it never leaves this process. Instances that share
            their tokens need one that they share.
        algorithm: of the keys made here, which are also those of people's sessions: one for each
            sign-in, kept with the session's tokens.
        nonces: where the nonces of servers are kept; in this process unless given.
    """

    def __init__(
        self,
        *,
        key: SigningKey | Callable[[], SigningKey] | None = None,
        algorithm: Algorithm = Algorithm.ES256,
        nonces: NonceStore | None = None,
    ) -> None:
        self.algorithm = algorithm
        self.nonces = nonces or MemoryNonces()
        self._lock = threading.Lock()
        self._key = key
        self._sessions: OrderedDict[bytes, SigningKey] = OrderedDict()

    def application(self, clock: Clock) -> "KeySender":
        """What application tokens are bound to."""
        # A callable may ask a vault, and wait for it.
        fixed = self._key is None or isinstance(self._key, SigningKey)
        return KeySender(self._own_key, self.nonces, clock, known=lambda: fixed)

    def session(self, session: Secret, store: UserTokenStore, clock: Clock) -> "KeySender":
        """What the tokens of a signed-in person are bound to."""
        digest = session.digest()
        return KeySender(
            lambda: self._session_key(session, digest, store),
            self.nonces,
            clock,
            known=lambda: digest in self._sessions,
            look_again=lambda: self.forget(digest),
        )

    def with_key(self, key: SigningKey, clock: Clock) -> "KeySender":
        """For a sign-in, whose session there is none of yet."""
        return KeySender(lambda: key, self.nonces, clock)

    def new_key(self) -> SigningKey:
        return SigningKey.generate(self.algorithm)

    def _own_key(self) -> SigningKey:
        source = self._key
        if source is None:
            with self._lock:
                source = self._key = self._key or self.new_key()
        if isinstance(source, SigningKey):
            return source
        try:
            key = source()
        except Exception as failure:  # noqa: BLE001 -- a vault's own exceptions are of any type
            raise ProofUnavailable(f"the DPoP key: {type(failure).__name__}") from None
        if not isinstance(key, SigningKey):
            raise ProofUnavailable("the DPoP key: the callable gave no SigningKey")
        return key

    def _session_key(self, session: Secret, digest: bytes, store: UserTokenStore) -> SigningKey:
        with self._lock:
            known = self._sessions.get(digest)
            if known is not None:
                self._sessions.move_to_end(digest)
                return known
        try:
            stored = store.load(session)
        except Exception as failure:  # noqa: BLE001 -- every store has errors of its own
            raise ProofUnavailable(f"the session's key: {type(failure).__name__}") from None
        if stored is None:
            raise LoginRequired("there are no tokens for this session")
        # No downgrade: what was signed in before binding was switched on is bound to nothing.
        if stored.proof_key is None:
            raise LoginRequired("this session's tokens are bound to no key")
        key = load_key(stored.proof_key)
        with self._lock:
            self._sessions[digest] = key
            if len(self._sessions) > SESSIONS:
                self._sessions.popitem(last=False)
        return key

    def forget(self, digest: bytes) -> None:
        """A session ended, or has another key: what is remembered of it goes."""
        with self._lock:
            self._sessions.pop(digest, None)

    def __repr__(self) -> str:
        return f"<DPoP {self.algorithm}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("the keys of a DPoP binding are not pickled")


@final
class KeySender:
    """Makes a proof for every attempt, with one key at a time."""

    scheme = "DPoP"

    def __init__(
        self,
        key: Callable[[], SigningKey],
        nonces: NonceStore,
        clock: Clock,
        *,
        known: Callable[[], bool] = lambda: True,
        look_again: Callable[[], None] = lambda: None,
    ) -> None:
        self._key, self._nonces, self._clock = key, nonces, clock
        self._known, self._look_again = known, look_again

    @property
    def at_once(self) -> bool:
        return self._nonces.at_once and self._known()

    def thumbprint(self) -> str:
        return self._key().public.thumbprint()

    def prove(self, method: str, url: str, token: Secret | None) -> Proof:
        key = self._key()
        nonce = self._nonces.load(_origin(url), key.public.thumbprint())
        # RFC 9449 §4.2: a new `jti` for each attempt; a proof that comes twice is a replay.
        proof = make_proof(
            key, htm=method, htu=url, now=self._clock.now(), access_token=token, nonce=nonce
        )
        return Proof({"dpop": proof.reveal()}, nonce)

    def learn(self, url: str, value: str | None) -> str | None:
        nonce = read_nonce(value)
        if nonce is not None:
            # RFC 9449 §8.2: of every answer, a success as well: the next request has it in time.
            # The answer is the caller's also when their session ended with it, and its key.
            with suppress(TokenUnavailable):
                self._nonces.save(_origin(url), self.thumbprint(), nonce)
        return nonce

    def look_again(self) -> None:
        self._look_again()

    def __repr__(self) -> str:
        return "<KeySender>"


def dump_key(key: SigningKey) -> Secret:
    """For a store that seals it."""
    return Secret(f"{key.algorithm}.{encode(key.to_pkcs8())}")


def load_key(kept: Secret) -> SigningKey:
    """Raises `LoginRequired`: a key that cannot be read is as good as lost."""
    algorithm, _, der = kept.reveal().partition(".")
    try:
        return SigningKey.from_pkcs8(decode(der), Algorithm(algorithm))
    except (JoseError, ValueError):
        raise LoginRequired("this session's key cannot be read") from None


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or PORTS.get(parts.scheme)}"
