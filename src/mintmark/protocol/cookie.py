"""Cookies that are opaque names of what a server keeps (RFC 6265 §4)."""

from collections.abc import Iterable

from mintmark.secret import Secret

__all__ = ["read_cookie", "set_cookie"]

VALUE_LENGTH = 43  # of `Secret.generate`


def read_cookie(headers: Iterable[tuple[bytes, bytes]], name: str) -> Secret | None:
    """The cookie's value; None when it is absent, malformed, or came twice.

    Of two cookies with one name, one was planted; which, nobody can tell.
    """
    wanted = name.encode("ascii")
    found = [
        value
        for key, field in headers
        if key == b"cookie"
        for pair in field.split(b";")
        for cookie, _, value in [pair.strip().partition(b"=")]
        if cookie == wanted
    ]
    if len(found) != 1 or len(found[0]) != VALUE_LENGTH or not found[0].isascii():
        return None
    return Secret(found[0].decode("ascii"))


def set_cookie(name: str, value: Secret | None, *, same_site: str = "Lax") -> str:
    """A `Set-Cookie` field that lives as long as the browser's own session; None removes it.

    Names begin with `__Host-`: a browser then takes the cookie from this host alone, over a
    connection that it trusts, for all paths. Loopback counts as one.

    Args:
        same_site: `None` for a cookie that has to come along with another site's form.
    """
    if value is None:
        return f"{name}=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite={same_site}"
    return f"{name}={value.reveal()}; Path=/; Secure; HttpOnly; SameSite={same_site}"
