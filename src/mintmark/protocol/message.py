"""HTTP messages as plain values: no framework, and nothing to wait for."""

from dataclasses import dataclass

import msgspec

from mintmark.protocol.errors import ErrorCode, OAuthError

__all__ = ["NO_STORE", "HeaderList", "HttpRequest", "HttpResponse", "error_answer", "json_answer"]

_JSON = (b"content-type", b"application/json")

HeaderList = tuple[tuple[bytes, bytes], ...]
"""Header fields in order, names in lower case, as ASGI gives and takes them."""

NO_STORE: HeaderList = ((b"cache-control", b"no-store"), (b"pragma", b"no-cache"))
"""RFC 6749 §5.1: no cache may keep an answer with a token in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request, body read and within its limit."""

    method: str
    path: str
    query: str = ""  # raw, without the question mark
    headers: HeaderList = ()
    body: bytes = b""
    client_address: str = ""  # as the transport saw it; empty when unknown

    def header(self, name: bytes) -> str | None:
        """The field's only value, or None when it is absent.

        Raises:
            OAuthError: INVALID_REQUEST when the field came twice, for whichever of two
                we took, somebody in front of us may have looked at the other.
        """
        values = [value for key, value in self.headers if key == name]
        if len(values) > 1:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "a header field came more than once")
        return values[0].decode("latin-1") if values else None


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One answer, whole."""

    status: int
    headers: HeaderList = ()
    body: bytes = b""


def json_answer(body: bytes, *, status: int = 200, headers: HeaderList = NO_STORE) -> HttpResponse:
    """JSON that is already encoded, not to be cached unless `headers` say otherwise."""
    return HttpResponse(status, (_JSON, *headers), body)


def error_answer(error: OAuthError, headers: HeaderList = ()) -> HttpResponse:
    """The JSON form of a refusal (RFC 6749 §5.2)."""
    body = msgspec.json.encode({"error": error.code.value, "error_description": error.description})
    return json_answer(body, status=error.status, headers=(*NO_STORE, *headers))
