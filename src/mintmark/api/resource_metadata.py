"""What this API says of itself, to whoever asks (RFC 9728): made from the gate and its policies."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, final
from urllib.parse import unquote, urlsplit

import msgspec

from mintmark.api.dpop import DPoP
from mintmark.api.policy import Policy, details_of, scopes_of
from mintmark.clock import Clock
from mintmark.fetch import FetchPolicy, FetchRefused, require_safe_url
from mintmark.jose.decryption_keys import DecryptionKeys
from mintmark.jose.keys import SigningKey
from mintmark.protocol.message import HttpResponse
from mintmark.protocol.resource_metadata import ResourceMetadata, resource_metadata_url, signed

__all__ = ["Publication", "ResourceMetadataSettings"]

LONGEST: Final = timedelta(days=1)
_METHODS: Final = b"GET, HEAD"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceMetadataSettings:
    """What the document of an API says that nobody can know but its owner."""

    name: str | None = None
    """For people."""

    documentation: str | None = None
    """Where developers read on."""

    authorization_servers: tuple[str, ...] = ()
    """Issuers beside the ones that the gate lists: those that a resolver knows."""

    signed_by: SigningKey | None = None
    """The API vouches for its document with this key, and publishes the public half. It is for
    nothing else: no issuer's key, and no key that signs tokens."""

    keys_path: str = "/jwks"
    """Below the API's identifier; answered by the gate where there are keys to publish."""

    max_age: timedelta = timedelta(hours=1)
    """How long others may go by an old copy. With a key that goes, that long is its overlap."""

    def __post_init__(self) -> None:
        if not timedelta(0) <= self.max_age <= LONGEST:
            raise ValueError(f"max_age ({self.max_age}) must be between 0 and {LONGEST}")
        if not self.keys_path.startswith("/") or any(mark in self.keys_path for mark in "?#%"):
            raise ValueError("keys_path: a path, beginning with a slash")
        for url in (self.documentation, *self.authorization_servers):
            if url is not None and not url.startswith(("https://", "http://")):
                raise ValueError("documentation, authorization_servers: addresses")


@final
class Publication:
    """The document and the keys of one API, and the answers to those who ask for them.

    It is an ASGI application, too, for where the guard itself is never asked: an API that is
    mounted below a path is not given what comes in above it.
    """

    def __init__(
        self,
        resource: str,
        settings: ResourceMetadataSettings,
        *,
        policies: Callable[[], Iterable[Policy]],
        issuers: Iterable[str],
        dpop: DPoP | None,
        takes_certificates: bool,
        decrypt_with: DecryptionKeys | None,
        clock: Clock,
        fetch: FetchPolicy,
    ) -> None:
        self.url = resource_metadata_url(_require_address(resource, fetch))
        self._settings = settings
        self._policies = policies
        self._clock = clock
        self._keys = _published_keys(settings, decrypt_with)
        self._fixed = ResourceMetadata(
            resource=resource,
            authorization_servers=tuple(dict.fromkeys((*issuers, *settings.authorization_servers))),
            jwks_uri=resource.rstrip("/") + settings.keys_path if self._keys else None,
            bearer_methods_supported=("header",),
            resource_name=settings.name,
            resource_documentation=settings.documentation,
            # RFC 9728 §2: that they are supported, and not that they are asked for.
            tls_client_certificate_bound_access_tokens=takes_certificates,
            dpop_signing_alg_values_supported=_names(dpop),
            dpop_bound_access_tokens_required=dpop is not None and dpop.required,
        )
        self._paths = self._answers(resource)
        self._made: tuple[ResourceMetadata, _Document] | None = None
        self._key_set = _Document.of({"keys": self._keys}, b"application/jwk-set+json", settings)

    def _answers(self, resource: str) -> "dict[str, Callable[[], _Document]]":
        answers: dict[str, Callable[[], _Document]] = {self._path: self._metadata}
        if self._keys:
            # Whether a proxy in front keeps the path of the identifier, or takes it away.
            below = unquote(urlsplit(resource).path).rstrip("/")
            for path in (self._settings.keys_path, below + self._settings.keys_path):
                answers[path] = lambda: self._key_set
        return answers

    @property
    def _path(self) -> str:
        return unquote(urlsplit(self.url).path)

    def document(self) -> ResourceMetadata:
        """As of now, unsigned: routes may have come since."""
        known = tuple(self._policies())
        scopes = frozenset().union(*map(scopes_of, known))
        details = frozenset().union(*map(details_of, known))
        return msgspec.structs.replace(
            self._fixed,
            scopes_supported=tuple(sorted(scopes)),
            authorization_details_types_supported=tuple(sorted(details)),
        )

    def _metadata(self) -> "_Document":
        metadata = self.document()
        # The same content keeps its bytes, and with them its tag and its signature.
        if self._made is None or self._made[0] != metadata:
            members = msgspec.to_builtins(self._vouched(metadata))
            self._made = metadata, _Document.of(members, b"application/json", self._settings)
        return self._made[1]

    def _vouched(self, metadata: ResourceMetadata) -> ResourceMetadata:
        key = self._settings.signed_by
        if key is None:
            return metadata
        token = signed(metadata, key, iss=metadata.resource, now=self._clock.timestamp())
        return msgspec.structs.replace(metadata, signed_metadata=token)

    def response_to(self, scope: Mapping[str, Any]) -> HttpResponse | None:
        """The answer, if this request asks for one of these documents.

        Nobody needs a token for them, and a token that comes along is not looked at.
        """
        if scope["type"] != "http":
            return None
        path: str = scope["path"]
        found = self._paths.get(path) or self._paths.get(_below(path, scope.get("root_path", "")))
        return found().response(scope) if found is not None else None

    async def __call__(
        self, scope: Mapping[str, Any], receive: Callable[..., Any], send: Callable[..., Any]
    ) -> None:
        from mintmark.api.asgi import respond

        if scope["type"] == "http":
            await respond(self.response_to(scope) or HttpResponse(404), scope, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})


@dataclass(frozen=True, slots=True)
class _Document:
    """The same bytes for everybody."""

    body: bytes
    etag: bytes
    content_type: bytes
    max_age: int

    @classmethod
    def of(
        cls, members: Mapping[str, Any], content_type: bytes, settings: ResourceMetadataSettings
    ) -> "_Document":
        body = msgspec.json.encode(members)
        # RFC 9110 §8.8.3
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'.encode("ascii")
        return cls(body, etag, content_type, int(settings.max_age.total_seconds()))

    def response(self, scope: Mapping[str, Any]) -> HttpResponse:
        # There is no secret in it, and clients in browsers read it.
        cors = (b"access-control-allow-origin", b"*")
        if scope["method"] not in {"GET", "HEAD"}:
            return _other_method(scope, cors)
        headers = (
            (b"etag", self.etag),
            (b"cache-control", f"public, max-age={self.max_age}".encode("ascii")),
            (b"x-content-type-options", b"nosniff"),
            cors,
        )
        if self._is_known_to(scope["headers"]):
            return HttpResponse(304, headers)
        return HttpResponse(200, ((b"content-type", self.content_type), *headers), self.body)

    def _is_known_to(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        # RFC 9110 §13.1.2: compared weakly, so a W/ that a proxy put in front does not matter.
        known = [
            tag.strip().removeprefix(b"W/")
            for name, value in headers
            if name == b"if-none-match"
            for tag in value.split(b",")
        ]
        return self.etag in known or b"*" in known


def _other_method(scope: Mapping[str, Any], cors: tuple[bytes, bytes]) -> HttpResponse:
    names = {name for name, _ in scope["headers"]}
    if scope["method"] == "OPTIONS" and b"access-control-request-method" in names:
        allowed = (b"access-control-allow-methods", _METHODS)
        return HttpResponse(204, (cors, allowed, (b"access-control-allow-headers", b"*")))
    # RFC 9110 §15.5.6
    return HttpResponse(405, ((b"allow", _METHODS), cors))


def _require_address(resource: str, fetch: FetchPolicy) -> str:
    """The identifier, if others can ask under it. RFC 9728 §1.2: https, and no fragment."""
    try:
        parts = require_safe_url(resource, fetch)
    except FetchRefused as refusal:
        raise ValueError(f"metadata: resource: {refusal.reason}") from None
    if parts.query or "#" in resource or "?" in resource:
        raise ValueError("metadata: resource: an identifier without query and fragment is needed")
    return resource


def _names(dpop: DPoP | None) -> tuple[str, ...]:
    return tuple(sorted(one.value for one in dpop.algorithms)) if dpop is not None else ()


def _published_keys(
    settings: ResourceMetadataSettings, decrypt_with: DecryptionKeys | None
) -> list[dict[str, str]]:
    keys = decrypt_with.published() if decrypt_with is not None else []
    if settings.signed_by is not None:
        keys = [*keys, settings.signed_by.public.to_jwk()]
    return keys


def _below(path: str, root_path: str) -> str:
    return path.removeprefix(root_path) or "/"
