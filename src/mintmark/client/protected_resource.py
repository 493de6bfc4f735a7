"""From an API's address to its tokens: what an API says of itself, and who issues tokens for it
(RFC 9728). This is all that a client of the Model Context Protocol needs to begin.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import msgspec

from mintmark.client.attachment import origin_of
from mintmark.client.authority import Authority
from mintmark.client.errors import AuthorityUnavailable, OriginNotAllowed, TokenRefused
from mintmark.clock import Clock
from mintmark.fetch import Fetcher, FetchError, FetchPolicy, FetchRefused, require_safe_url
from mintmark.protocol.challenge import parse_challenges
from mintmark.protocol.errors import OAuthError
from mintmark.protocol.metadata import ServerMetadata, UnusableMetadata
from mintmark.protocol.resource_metadata import ResourceMetadata, resource_metadata_url
from mintmark.protocol.scope import Scope, parse_scope

__all__ = ["ProtectedResource", "discover_resource", "require_pkce"]

MOST_SERVERS: Final = 8


@dataclass(frozen=True, slots=True)
class ProtectedResource:
    """An API, by its own word."""

    metadata: ResourceMetadata
    scope: Scope  # what its challenge asked for; if it did not say, what it says of itself

    @property
    def resource(self) -> str:
        """For `resource=` of every request for a token (RFC 8707): it is for nothing else."""
        return self.metadata.resource

    def authority(
        self,
        trusted: Iterable[str] | None = None,
        *,
        policy: FetchPolicy | None = None,
        clock: Clock | None = None,
    ) -> Authority:
        """The first of its token servers that is trusted.

        Args:
            trusted: issuers; None trusts whomever the API names. A person may do that, who sees
                where they are sent to sign in; a program with a secret of its own should not.

        Raises:
            TokenRefused: it names none, or none that is trusted.
        """
        named = self.metadata.authorization_servers[:MOST_SERVERS]
        chosen = named if trusted is None else [one for one in named if one in frozenset(trusted)]
        if not chosen:
            raise TokenRefused("no_trusted_issuer", "the API names no token server to be trusted")
        return Authority(chosen[0], policy=policy, clock=clock)


def discover_resource(
    url: str, challenges: Iterable[str] = (), *, policy: FetchPolicy | None = None
) -> ProtectedResource:
    """What the API at this address says of itself.

    Args:
        url: that a request went to.
        challenges: the `WWW-Authenticate` fields of its 401, if there was one.

    Raises:
        AuthorityUnavailable: the document cannot be fetched.
        TokenRefused: it is another API's, or cannot be read. No token may be sent there.
    """
    allowed = policy or FetchPolicy()
    try:
        require_safe_url(url, allowed)
    except FetchRefused as refusal:
        raise AuthorityUnavailable(refusal.reason) from None
    told, scope = _told(challenges)
    fetcher = Fetcher(allowed)
    try:
        if told is not None:
            # RFC 9728 §5.1: wherever the document lies, it must be about what was asked for.
            return _of(_fetched(fetcher, told), told, url, scope, allowed)
        for candidate in _candidates(url):
            place = resource_metadata_url(candidate)
            body = _fetched_if_there(fetcher, place)
            if body is not None:
                return _of(body, place, url, scope, allowed)
    finally:
        fetcher.close()
    raise TokenRefused("no_resource_metadata", "the API says nothing of itself")


def require_pkce(metadata: ServerMetadata) -> ServerMetadata:
    """Metadata of a server that a stranger may send a person to.

    Raises:
        TokenRefused: it does not promise PKCE with S256, so a stolen code would be worth something.
    """
    if "S256" not in metadata.code_challenge_methods_supported:
        raise TokenRefused("no_pkce", "the server does not say that it takes code_challenge S256")
    return metadata


def _told(challenges: Iterable[str]) -> tuple[str | None, Scope]:
    scope: Scope = frozenset()
    url = None
    for challenge in parse_challenges(challenges):
        url = url or challenge.parameters.get("resource_metadata")
        try:
            scope = scope or parse_scope(challenge.parameters.get("scope", ""))
        except OAuthError:
            continue
    return url, scope


def _candidates(url: str) -> tuple[str, ...]:
    """The API may be known by this very address, or by the whole of its host."""
    parts = urlsplit(url)
    whole = f"{parts.scheme}://{parts.netloc}"
    path = parts.path.rstrip("/")
    return (f"{whole}{path}", whole) if path else (whole,)


def _fetched(fetcher: Fetcher, url: str) -> bytes:
    body = _fetched_if_there(fetcher, url)
    if body is None:
        raise AuthorityUnavailable("the API's metadata is not where the API says")
    return body


def _fetched_if_there(fetcher: Fetcher, url: str) -> bytes | None:
    try:
        fetched = fetcher.get(url)
    except FetchError as failure:
        raise AuthorityUnavailable(failure.reason) from None
    if fetched.status == 200:
        return fetched.body
    if fetched.status in (400, 401, 403, 404, 405, 410):
        return None
    raise AuthorityUnavailable(f"the API's metadata has status {fetched.status}")


def _of(body: bytes, place: str, url: str, scope: Scope, policy: FetchPolicy) -> ProtectedResource:
    try:
        resource = _require_covers(_named_in(body), url, place, policy)
        metadata = ResourceMetadata.parse(body, resource=resource)
    except UnusableMetadata as failure:
        raise TokenRefused("unusable_resource_metadata", str(failure)) from None
    return ProtectedResource(metadata, scope or frozenset(metadata.scopes_supported))


class _Named(msgspec.Struct):
    resource: str


def _named_in(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Named).resource
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UnusableMetadata("the metadata document cannot be read") from None


def _require_covers(resource: str, url: str, place: str, policy: FetchPolicy) -> str:
    """The resource, if it is what lies at this address, or what that is a part of.

    RFC 9728 §3.3: a document about another resource would have us send its tokens, and the person
    who signs in for them, wherever its writer wants. Of a wider one only that one's own place may
    speak: whoever has a path of a host must not get tokens for the whole host.
    """
    other = UnusableMetadata("the metadata document is about another resource")
    try:
        if origin_of(resource, policy) != origin_of(url, policy) or urlsplit(resource).query:
            raise other
        own_place = resource_metadata_url(resource)
    except (OriginNotAllowed, ValueError):
        raise other from None
    ours, theirs = urlsplit(url).path.rstrip("/"), urlsplit(resource).path.rstrip("/")
    if ours == theirs or (ours.startswith(theirs + "/") and place == own_place):
        return resource
    raise other
