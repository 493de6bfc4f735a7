"""Refusing what another site caused."""

import hashlib
from collections.abc import Mapping

from mintmark.jose.base64url import encode
from mintmark.secret import Secret

__all__ = ["CrossSite", "field_of", "require_own_form", "require_own_site"]

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
OWN = frozenset({"same-origin", "none"})
LABEL = b"mintmark cross-site field "


class CrossSite(Exception):
    """The request changes something and does not come from a page of this application."""


def field_of(session: Secret) -> str:
    """The value of a form's hidden field, for whoever has this session.

    It is a digest of the cookie's value, which no other site and no script can read.
    """
    return encode(hashlib.sha256(LABEL + session.reveal().encode()).digest())


def require_own_form(session: Secret | None, field: str | None) -> None:
    """Raises `CrossSite` unless the form was made for this session."""
    if session is None or field is None or Secret(field) != Secret(field_of(session)):
        raise CrossSite("the form was not made for this session")


def require_own_site(method: str, headers: Mapping[str, str], own_origin: str) -> None:
    """Refuse an unsafe request that a browser sends for another site.

    Browsers say where a request comes from; one that says nothing is no browser, and a form of
    another site cannot make one say nothing.

    Raises:
        CrossSite.
    """
    if method in SAFE:
        return
    fetch_site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if fetch_site is not None and fetch_site not in OWN:
        raise CrossSite("the browser says that another site sent it")
    if origin is not None and origin != own_origin:
        raise CrossSite("the origin is another")
