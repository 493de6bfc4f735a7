"""What a server says of itself: metadata and keys, as bytes made once."""

import hashlib
from dataclasses import dataclass
from typing import Self

from mintmark.protocol.authorization import Prompt
from mintmark.protocol.message import HttpRequest, HttpResponse
from mintmark.protocol.metadata import ServerMetadata
from mintmark.protocol.pkce import METHOD
from mintmark.server.clients import ClientRegistry
from mintmark.server.config import ServerConfig
from mintmark.server.endpoints.token import OFFERED
from mintmark.server.signing_keys import SigningKeys

__all__ = ["Published", "metadata_of"]


@dataclass(frozen=True, slots=True)
class Published:
    """A public document: the same bytes for everybody, with a strong ETag (RFC 9110 §8.8.3)."""

    whole: HttpResponse
    unchanged: HttpResponse
    etag: str

    @classmethod
    def of(cls, body: bytes, content_type: bytes, max_age: int) -> Self:
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = (
            (b"etag", etag.encode()),
            (b"cache-control", f"public, max-age={max_age}".encode()),
            # Browser-based clients read these from other origins, and there is no secret in them.
            (b"access-control-allow-origin", b"*"),
            (b"x-content-type-options", b"nosniff"),
        )
        whole = HttpResponse(200, ((b"content-type", content_type), *headers), body)
        return cls(whole, HttpResponse(304, headers), etag)

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        for name, value in request.headers:
            # RFC 9110 §13.1.2
            if name == b"if-none-match" and self.etag in value.decode("latin-1"):
                return self.unchanged
        return self.whole


def metadata_of(config: ServerConfig, clients: ClientRegistry, keys: SigningKeys) -> ServerMetadata:
    """RFC 8414 §2 and OIDC Discovery §3 in one: both documents say the same."""
    methods = ("client_secret_basic", "client_secret_post", "none")
    return ServerMetadata(
        issuer=config.issuer,
        authorization_endpoint=config.url("/authorize"),
        token_endpoint=config.url("/token"),
        jwks_uri=config.url("/jwks"),
        userinfo_endpoint=config.url("/userinfo"),
        revocation_endpoint=config.url("/revoke"),
        end_session_endpoint=config.url("/logout"),
        scopes_supported=tuple(sorted(clients.scope_descriptions)),
        response_types_supported=("code",),
        response_modes_supported=("query",),
        grant_types_supported=OFFERED,
        subject_types_supported=("public",),
        id_token_signing_alg_values_supported=(keys.current().algorithm.value,),
        token_endpoint_auth_methods_supported=methods,
        revocation_endpoint_auth_methods_supported=methods,
        code_challenge_methods_supported=(METHOD,),
        claims_supported=("sub", "name", "given_name", "family_name", "picture", "email"),
        prompt_values_supported=tuple(Prompt),
        authorization_response_iss_parameter_supported=True,
        request_uri_parameter_supported=False,
    )
