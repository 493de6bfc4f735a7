"""A WSGI request as the scope that the guard reads."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["scope_of"]

# Standing in the environment under names of their own, as CGI had it.
_UNPREFIXED: Final = {"CONTENT_TYPE": b"content-type", "CONTENT_LENGTH": b"content-length"}
_ABSOLUTE: Final = ("http://", "https://")
_NEXT: Final = re.compile(rb"[ \t]*,[ \t]*(?=(?:bearer|dpop)(?:[ \t]|\Z))", re.IGNORECASE)


def scope_of(environ: Mapping[str, Any]) -> dict[str, Any]:
    """The ASGI scope of this request.

    A header that came twice is here once, with a comma between: that is all a WSGI server says. No
    token and no proof has a comma in it, so two are refused as they are elsewhere.
    """
    root, rest = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "") or "/"
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": environ.get("SERVER_PROTOCOL", "HTTP/1.1").rpartition("/")[2],
        "method": environ["REQUEST_METHOD"],
        "scheme": environ.get("wsgi.url_scheme", "http"),
        "path": _text(root + rest),
        "root_path": _text(root),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1", "replace"),
        "headers": list(_headers(environ)),
        "client": _client(environ),
        "extensions": _extensions(environ),
    }
    raw = _raw_path(environ)
    if raw is not None:
        scope["raw_path"] = raw
    return scope


def _text(path: str) -> str:
    # WSGI carries bytes as characters (PEP 3333).
    return path.encode("latin-1", "replace").decode("utf-8", "replace")


def _raw_path(environ: Mapping[str, Any]) -> bytes | None:
    """The target as it was sent, where the server keeps it: a proof names it letter by letter."""
    target = environ.get("REQUEST_URI") or environ.get("RAW_URI")
    if not isinstance(target, str):
        return None
    if target.lower().startswith(_ABSOLUTE):
        target = "/" + target.partition("://")[2].partition("/")[2]
    return target.partition("?")[0].encode("latin-1", "replace")


def _headers(environ: Mapping[str, Any]) -> Iterator[tuple[bytes, bytes]]:
    for name, value in environ.items():
        if name in _UNPREFIXED:
            # Empty means that there was none.
            if value:
                yield _UNPREFIXED[name], str(value).encode("latin-1", "replace")
        elif name.startswith("HTTP_") and name[5:] not in _UNPREFIXED:
            named = name[5:].lower().replace("_", "-").encode("latin-1", "replace")
            for one in _several(named, value.encode("latin-1", "replace")):
                yield named, one


def _several(name: bytes, value: bytes) -> list[bytes]:
    # `Basic x, Bearer y` would pass for one attempt of a scheme that is none of ours. A comma and
    # one of our schemes behind it cannot be part of anybody's credentials.
    return _NEXT.split(value) if name == b"authorization" else [value]


def _client(environ: Mapping[str, Any]) -> tuple[str, int] | None:
    # Werkzeug's ProxyFix puts a header's word in the place of the connection's, and keeps this.
    before: Mapping[str, Any] = environ.get("werkzeug.proxy_fix.orig") or {}
    address = before.get("REMOTE_ADDR") or environ.get("REMOTE_ADDR")
    if not address:
        return None
    # A server that does not say the port cannot be told from a header's word: 0, which nobody trusts.
    port = str(environ.get("REMOTE_PORT", ""))
    return address, int(port) if port.isascii() and port.isdigit() else 0


def _extensions(environ: Mapping[str, Any]) -> dict[str, Any]:
    """The certificate of the connection; none of these names can come from a header."""
    pem, verified = environ.get("SSL_CLIENT_CERT"), environ.get("SSL_CLIENT_VERIFY")
    if pem is None and verified is None:
        return {}
    tls: dict[str, Any] = {"client_cert_chain": [pem] if pem else [], "client_cert_error": None}
    if pem and verified not in (None, "", "SUCCESS"):
        tls["client_cert_error"] = "not verified"
    return {"tls": tls}
