"""The two cookies of the token server: a session, and a browser that has none yet."""

from collections.abc import Iterable

from mintmark.secret import Secret

__all__ = ["BROWSER", "SESSION", "read_cookie", "set_cookie"]

# RFC 6265bis §4.1.3.2: with this prefix a browser takes the cookie from this host alone, over a
# connection it trusts, for all paths. Loopback counts as one.
SESSION = "__Host-mintmark-session"
BROWSER = "__Host-mintmark-browser"

VALUE_LENGTH = 43


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


def set_cookie(name: str, value: Secret | None) -> str:
    """A `Set-Cookie` field; None removes the cookie. It ends with the browser's own session."""
    if value is None:
        return f"{name}=; Max-Age=0; Path=/; Secure; HttpOnly; SameSite=Lax"
    return f"{name}={value.reveal()}; Path=/; Secure; HttpOnly; SameSite=Lax"
