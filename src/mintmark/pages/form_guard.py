"""Refusing forms that another site submitted."""

import hashlib
import hmac
from dataclasses import dataclass

from mintmark.jose.base64url import encode
from mintmark.secret import Secret

__all__ = ["ForeignForm", "FormGuard"]

OWN = frozenset({"same-origin", "none"})


class ForeignForm(Exception):
    """The form did not come from a page that this server gave this browser."""


@dataclass(frozen=True, slots=True)
class FormGuard:
    """Binds a form to a cookie of the browser that it was given to.

    The form carries an HMAC of the cookie's value under a key of the server. Another site can
    make a browser send the cookie, but can neither read it nor compute the value that goes with it.
    """

    key: bytes

    def field(self, browser: Secret) -> Secret:
        """The value of the form's hidden field."""
        return Secret(encode(hmac.digest(self.key, browser.reveal().encode(), hashlib.sha256)))

    def require_own(
        self,
        browser: Secret | None,
        field: Secret | None,
        *,
        origin: str | None,
        own_origin: str,
        fetch_site: str | None,
    ) -> None:
        """Raises `ForeignForm` unless cookie, field and the browser's own word agree."""
        if fetch_site is not None and fetch_site not in OWN:
            raise ForeignForm("the browser says that another site sent it")
        # `null` comes from privacy settings and from our own no-referrer policy.
        if origin is not None and origin not in {own_origin, "null"}:
            raise ForeignForm("the origin is another")
        if browser is None or field is None or self.field(browser) != field:
            raise ForeignForm("the field does not go with the cookie")
