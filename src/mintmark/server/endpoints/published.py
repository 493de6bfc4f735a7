"""What a server says of itself: metadata and keys, as bytes made once."""

import hashlib
from dataclasses import dataclass
from typing import Self

from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.protocol.authorization import Prompt, ResponseMode
from mintmark.protocol.client_authentication import ClientAuthenticationMethod
from mintmark.protocol.message import HttpRequest, HttpResponse
from mintmark.protocol.metadata import ServerMetadata
from mintmark.protocol.pkce import METHOD
from mintmark.server.claims import CLAIMS_SUPPORTED
from mintmark.server.clients import ClientRegistry
from mintmark.server.config import ServerConfig
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


def metadata_of(
    config: ServerConfig,
    clients: ClientRegistry,
    keys: SigningKeys,
    grant_types: tuple[str, ...],
) -> ServerMetadata:
    """RFC 8414 §2 and OIDC Discovery §3 in one: both documents say the same."""
    methods = tuple(sorted(ClientAuthenticationMethod))
    # RFC 8414 §2: with `private_key_jwt` the algorithms must be said as well.
    algorithms = tuple(sorted(ALL_ALGORITHMS))
    # RFC 7662 §2.1: nobody asks about tokens without proving who they are.
    proved = tuple(method for method in methods if method != ClientAuthenticationMethod.NONE)
    return ServerMetadata(
        issuer=config.issuer,
        authorization_endpoint=config.url("/authorize"),
        token_endpoint=config.url("/token"),
        jwks_uri=config.url("/jwks"),
        userinfo_endpoint=config.url("/userinfo"),
        revocation_endpoint=config.url("/revoke"),
        introspection_endpoint=config.url("/introspect"),
        end_session_endpoint=config.url("/logout"),
        pushed_authorization_request_endpoint=config.url("/par"),
        device_authorization_endpoint=config.url("/device_authorization"),
        require_pushed_authorization_requests=config.require_pushed_requests,
        scopes_supported=tuple(sorted(clients.scope_descriptions)),
        response_types_supported=("code",),
        response_modes_supported=tuple(ResponseMode),
        grant_types_supported=grant_types,
        subject_types_supported=("public",),
        id_token_signing_alg_values_supported=(keys.current().algorithm.value,),
        token_endpoint_auth_methods_supported=methods,
        token_endpoint_auth_signing_alg_values_supported=algorithms,
        introspection_endpoint_auth_methods_supported=proved,
        introspection_endpoint_auth_signing_alg_values_supported=algorithms,
        introspection_signing_alg_values_supported=(keys.current().algorithm.value,),
        revocation_endpoint_auth_methods_supported=methods,
        revocation_endpoint_auth_signing_alg_values_supported=algorithms,
        code_challenge_methods_supported=(METHOD,),
        dpop_signing_alg_values_supported=algorithms,
        claims_supported=CLAIMS_SUPPORTED,
        claim_types_supported=("normal",),
        claims_parameter_supported=True,
        # What a page looks like follows the window: each of these is the same page.
        display_values_supported=("page", "popup", "touch"),
        ui_locales_supported=("en",),
        authorization_details_types_supported=tuple(sorted(clients.detail_descriptions)),
        authorization_signing_alg_values_supported=(keys.current().algorithm.value,),
        request_parameter_supported=True,
        request_object_signing_alg_values_supported=algorithms,
        # OIDC Discovery §3: nothing is fetched but what a client registered.
        require_request_uri_registration=True,
        prompt_values_supported=tuple(Prompt),
        authorization_response_iss_parameter_supported=True,
        request_uri_parameter_supported=any(one.request_uris for one in clients.clients.values()),
    )
