"""Where somebody goes after signing in: to a page of this application, whatever was asked for."""

import re

__all__ = ["local_path"]

MAX_LENGTH = 2048

# One slash and then neither slash nor backslash, which browsers take for one; visible ASCII only,
# for they also drop tabs and line breaks before they look.
_LOCAL = re.compile(r"/(?![/\\])[\x21-\x5B\x5D-\x7E]*")


def local_path(text: str | None) -> str:
    """The path to return to; `/` for everything that could lead to another site.

    Nothing here raises: the value comes from an address that anybody can make up.
    """
    if text is None or len(text) > MAX_LENGTH or _LOCAL.fullmatch(text) is None:
        return "/"
    return text
