"""Where an answer may be sent: exact match, and the one loopback exception."""

from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from mintmark.protocol.errors import ErrorCode, OAuthError

__all__ = ["parse_redirect_uri", "require_registered"]

_LOOPBACK = frozenset({"127.0.0.1", "::1"})


def parse_redirect_uri(text: str) -> str:
    """A redirect URI fit for registration, unchanged.

    Raises:
        ValueError: it is relative, has a fragment or user-info, or uses a scheme that runs code.
    """
    if any(ord(character) <= 0x20 or ord(character) > 0x7E for character in text) or "\\" in text:
        raise ValueError("a redirect URI has only visible ASCII characters and no backslash")
    parts = urlsplit(text)
    # RFC 6749 §3.1.2: absolute, without a fragment.
    if not parts.scheme or "#" in text:
        raise ValueError("a redirect URI is absolute and has no fragment")
    if parts.scheme in {"javascript", "data", "file", "vbscript", "about", "blob"}:
        raise ValueError("this scheme would run code or leave the web")
    if parts.scheme in {"http", "https"} and not parts.hostname:
        raise ValueError("a redirect URI names a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a redirect URI carries no user-info")
    # RFC 8252 §8.4: plain http only on the machine of the person; `localhost` is for development.
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK | {"localhost"}:
        raise ValueError("a redirect URI is https, or http on a loopback address")
    return text


def require_registered(redirect_uri: str, registered: Collection[str]) -> str:
    """The URI to answer to.

    Raises:
        OAuthError: INVALID_REQUEST. The caller shows it to the person and redirects nowhere:
            this is the address that is not to be trusted (RFC 6749 §4.1.2.1).
    """
    # RFC 9700 §2.1: simple string comparison.
    if redirect_uri in registered:
        return redirect_uri
    for candidate in registered:
        if _same_but_for_port(redirect_uri, candidate):
            return redirect_uri
    raise OAuthError(ErrorCode.INVALID_REQUEST, "redirect_uri is not registered for this client")


def _same_but_for_port(asked: str, registered: str) -> bool:
    # RFC 8252 §7.3: a native app listens on whichever loopback port was free.
    if not registered.startswith(("http://127.0.0.1", "http://[::1]")):
        return False
    try:
        parse_redirect_uri(asked)
        ours, theirs = urlsplit(registered), urlsplit(asked)
        # Reading the port raises when it is no port.
        return theirs.port is not None and _without_port(ours) == _without_port(theirs)
    except ValueError:
        return False


def _without_port(parts: SplitResult) -> tuple[str, str | None, str, str]:
    if parts.hostname not in _LOOPBACK:
        raise ValueError("not a loopback address")
    return parts.scheme, parts.hostname, parts.path, parts.query
