"""A token server as its clients see it: metadata and keys, fetched, checked, kept."""

import threading
from datetime import timedelta
from typing import final

from mintmark.client.errors import AuthorityUnavailable
from mintmark.clock import Clock, SystemClock
from mintmark.fetch import Fetcher, FetchError, FetchPolicy, FetchRefused, require_safe_url
from mintmark.forks import begin_again_after_fork
from mintmark.jose.errors import JoseError
from mintmark.jose.key_set import KeySet
from mintmark.protocol.metadata import ServerMetadata, UnusableMetadata, metadata_urls

__all__ = ["Authority", "require_page"]

KEEP = timedelta(hours=1)
KEEP_AFTER_FAILURE = timedelta(seconds=5)
KEYS_AGAIN_AFTER = timedelta(seconds=30)


@final
class Authority:
    """One issuer. Share it: what it fetched serves every client and thread.

    Args:
        issuer: exactly as the server writes it; its metadata must say the same.
        policy: what may be fetched; only https, unless it says otherwise by name.
    """

    def __init__(
        self, issuer: str, *, policy: FetchPolicy | None = None, clock: Clock | None = None
    ) -> None:
        self.issuer = issuer
        self.fetcher = Fetcher(policy)
        self.clock = clock or SystemClock()
        self.begin()
        begin_again_after_fork(self)
        self._metadata: ServerMetadata | None = None
        self._attempts = 0
        self._failure: str | None = None
        self._fresh_until = 0.0
        self._keys: KeySet | None = None
        self._keys_asked = 0.0

    def begin(self) -> None:
        """Anew, in a forked process in which nobody is fetching."""
        self._lock = threading.Lock()

    def metadata(self) -> ServerMetadata:
        """The server's metadata, at most an hour old while it answers.

        Raises:
            AuthorityUnavailable: it cannot be fetched and none was before.
        """
        now = self.clock.timestamp()
        metadata = self._metadata
        if metadata is not None and now < self._fresh_until:
            return metadata
        attempts = self._attempts
        with self._lock:
            # Whoever waited while somebody asked in vain has had their answer: a hundred of them
            # must not wait for a hundred time limits, one after the other.
            if self._failure is not None and self._attempts != attempts:
                raise AuthorityUnavailable(self._failure)
            if self._metadata is None or now >= self._fresh_until:
                self._attempts += 1
                self._fetch_metadata(now)
            assert self._metadata is not None
            return self._metadata

    def _fetch_metadata(self, now: float) -> None:
        self._failure = None
        try:
            body = self._metadata_document()
            self._metadata = ServerMetadata.parse(body, issuer=self.issuer)
            self._fresh_until = now + KEEP.total_seconds()
        except (FetchError, UnusableMetadata) as failure:
            if self._metadata is None:
                self._failure = str(failure)
                raise AuthorityUnavailable(self._failure) from None
            # What was true an hour ago is likelier to be true than nothing.
            self._fresh_until = now + KEEP_AFTER_FAILURE.total_seconds()

    def _metadata_document(self) -> bytes:
        for url in metadata_urls(self.issuer):
            fetched = self.fetcher.get(url)
            if fetched.status == 200:
                return fetched.body
            # RFC 8414 §5: a server without OpenID Connect has nothing at the first place.
            if fetched.status not in (400, 404, 405, 410):
                break
        raise UnusableMetadata(f"the metadata answer has status {fetched.status}")

    def endpoint(self, name: str) -> str:
        """The address of an endpoint by its metadata name.

        Raises:
            AuthorityUnavailable: no metadata, or the server has no such endpoint.
        """
        url = getattr(self.metadata(), name)
        if not isinstance(url, str):
            raise AuthorityUnavailable(f"the server has no {name}")
        return url

    def page(self, name: str) -> str:
        """The address of an endpoint that somebody's browser is sent to, by its metadata name.

        Raises:
            AuthorityUnavailable: as `endpoint`, or it is none that a browser may be sent to.
        """
        try:
            return require_page(self.endpoint(name), self.fetcher.policy)
        except FetchRefused:
            raise AuthorityUnavailable(f"{name} is no safe address for a browser") from None

    def keys(self, *, unknown_to: KeySet | None = None) -> KeySet:
        """The server's public keys.

        Args:
            unknown_to: a set that a `kid` was not found in; it is fetched again, though not more
                often than every 30 seconds.

        Raises:
            AuthorityUnavailable: they cannot be fetched and none were before.
        """
        now = self.clock.timestamp()
        with self._lock:
            keys = self._keys
        # A clock that was set back must not stop all fetching until it has caught up.
        stale = not 0.0 <= now - self._keys_asked < KEYS_AGAIN_AFTER.total_seconds()
        if keys is not None and (keys is not unknown_to or not stale):
            return keys
        url = self.endpoint("jwks_uri")
        with self._lock:
            if self._keys is not keys:
                assert self._keys is not None
                return self._keys
            self._keys_asked = now
            try:
                self._keys = KeySet.parse(self.fetcher.get(url).body)
            except (FetchError, JoseError) as failure:
                if keys is None:
                    raise AuthorityUnavailable(f"keys: {failure}") from None
                self._keys = keys
            return self._keys

    def keys_for(self, kid: str | None) -> KeySet:
        """The keys, fetched again once when they do not have this `kid`."""
        keys = self.keys()
        if kid is not None and all(key.kid != kid for key in keys.keys):
            keys = self.keys(unknown_to=keys)
        return keys

    def close(self) -> None:
        self.fetcher.close()


def require_page(url: str, policy: FetchPolicy) -> str:
    """An address that is opened in somebody's browser, perhaps by their system, or shown to them.

    A hostile server may write `file:` there, or a program to be started; or what a terminal obeys.

    Raises:
        FetchRefused: anything but an encrypted web address.
    """
    require_safe_url(url, policy)
    if not url.isprintable() or not url.isascii() or " " in url:
        raise FetchRefused("the address holds what cannot be shown")
    return url
