"""A token server for tests: real HTTP on loopback, instant sign-ins, faults on request."""

import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Self, final
from urllib.parse import urlsplit

import msgspec

from mintmark.client import Authority, Client, TokenManager
from mintmark.clock import Clock, SystemClock
from mintmark.fetch import FetchPolicy
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.jws import parse, sign
from mintmark.jose.keys import SigningKey
from mintmark.protocol.access_token import mint_access_token
from mintmark.protocol.authorization import (
    AuthorizationRequest,
    AuthorizationResponse,
    redirect_with,
)
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.id_token import TYP, mint_id_token
from mintmark.protocol.metadata import ServerMetadata
from mintmark.protocol.pkce import require_verifier
from mintmark.protocol.scope import Scope, parse_scope
from mintmark.protocol.token import TokenResponse
from mintmark.secret import Secret
from mintmark.testing.asked import Asked, Endpoint, Grant
from mintmark.testing.authority_http import server_for
from mintmark.testing.clock import duration
from mintmark.testing.faults import Fault
from mintmark.testing.introspection import FakeIntrospection
from mintmark.testing.record import Recording
from mintmark.testing.rotation import Family, RefreshTokens

__all__ = ["FakeAuthority", "Fault"]


@final
class FakeAuthority(Recording):
    """Issues what it is asked for, signed with a real key, and counts.

    Attributes:
        issuer: set once it serves.
        introspection: what it says of opaque tokens.
        faults: answers that the token endpoint gives first, one each; `fail` adds to them.
        changes: members added to or (as None) taken from every token response.
        metadata_changes: the same for the metadata.
        response_changes: the same for what the browser brings back (`code`, `state`, `iss`).
        id_token_changes: the same for the claims of ID tokens, which are signed all the same.
        subject: who signs in.
        lifetime: of access tokens.
        delay: seconds that the token endpoint takes.
        lies: answers given instead of the true ones, by path.
        grants: further grants, and others instead of its own, by `grant_type`.
        endpoints: further endpoints by path, such as `/par`; each is counted by its name.
    """

    def __init__(
        self, *, clock: Clock | None = None, algorithm: Algorithm = Algorithm.ES256
    ) -> None:
        super().__init__()
        self.clock = clock or SystemClock()
        self.key = SigningKey.generate(algorithm)
        self.published = [self.key.public]
        self.issuer = ""
        self.audience = "https://api.example"
        self.subject = "alice"
        self.lifetime = timedelta(minutes=10)
        self.delay = 0.0
        self.faults: list[Fault] = []
        self.changes: dict[str, Any] = {}
        self.metadata_changes: dict[str, Any] = {}
        self.response_changes: dict[str, str | None] = {}
        self.id_token_changes: dict[str, Any] = {}
        self.down = False
        self.revoked: list[str] = []
        self.lies: dict[str, Fault] = {}
        self.introspection = FakeIntrospection()
        self.grants: dict[str, Grant] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.bound_to: Mapping[str, Any] = {}  # further claims of every access token, such as `cnf`
        self._lock = threading.Lock()
        self._codes: dict[str, Family] = {}
        self._further_faults: dict[str, list[Fault]] = {}
        self.refresh_tokens = RefreshTokens()

    @property
    def policy(self) -> FetchPolicy:
        """What a client or an API needs to talk to it: http on loopback, allowed by name."""
        return FetchPolicy(insecure_allow_http_on_loopback=True, timeout=timedelta(seconds=5))

    def client(self, client_id: str = "client", **more: Any) -> Client:
        """A client of this server, which goes by the same clock; takes what `Client` takes."""
        more.setdefault("client_secret", None if "proof" in more else Secret.generate())
        return Client(
            Authority(self.issuer, policy=self.policy, clock=self.clock),
            client_id=client_id,
            tokens=more.pop("tokens", None) or TokenManager(clock=self.clock),
            **more,
        )

    @contextmanager
    def serve(self) -> Iterator[Self]:
        """Serve on a free loopback port for as long as the block lasts."""
        server = server_for(self)
        self.issuer = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def fail(self, *faults: Fault, at: str = "/token") -> None:
        """These answers come next, one each: of the token endpoint, or of the one at this path."""
        with self._lock:
            self._queue(at).extend(faults)

    def next_fault(self, path: str) -> Fault | None:
        """Takes it: the next request is answered well, unless there is another."""
        with self._lock:
            queue = self._queue(path)
            return queue.pop(0) if queue else None

    def _queue(self, path: str) -> list[Fault]:
        return self.faults if path == "/token" else self._further_faults.setdefault(path, [])

    def rotate(self, *, detect_reuse: bool = False, grace: timedelta | str = timedelta(0)) -> None:
        """How refresh tokens are renewed: each works once.

        Args:
            detect_reuse: a second use of a spent one ends everything that came of the sign-in.
            grace: for so long after its use a spent one gives its own successor again, to whoever
                lost the answer; until that successor was used itself.
        """
        self.refresh_tokens.rotates = True
        self.refresh_tokens.detects_reuse = detect_reuse
        self.refresh_tokens.grace = duration(grace) if isinstance(grace, str) else grace

    def keep_refresh_tokens(self) -> None:
        """A renewal gives no new refresh token; the old one goes on (RFC 6749 §6)."""
        self.refresh_tokens.rotates = False

    def end_grants(self) -> None:
        """From now on every refresh token that is out is refused: the person was locked out, say."""
        self.refresh_tokens.end_all()

    def rotate_key(self, *, keep_old: bool = True) -> None:
        """Sign with a new key from now on."""
        self.key = SigningKey.generate(self.key.algorithm)
        self.published = [self.key.public, *(self.published if keep_old else [])]

    def access_token(
        self,
        *,
        scope: str = "",
        sub: str | None = None,
        client_id: str = "client",
        aud: tuple[str, ...] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Secret:
        """A token as the endpoint would give it; `sub` is the client's own id unless given."""
        return mint_access_token(
            iss=self.issuer,
            sub=sub or client_id,
            aud=aud or (self.audience,),
            client_id=client_id,
            scope=parse_scope(scope) if scope else frozenset(),
            jti=secrets.token_hex(16),
            now=self.clock.now(),
            lifetime=self.lifetime,
            key=self.key,
            extra={**self.bound_to, **(extra or {})},
        )

    def opaque_token(
        self, *, scope: str = "", sub: str | None = None, extra: Mapping[str, Any] | None = None
    ) -> Secret:
        """A token that only `/introspect` can read, of the same meaning as `access_token`."""
        now = self.clock.timestamp()
        claims = {
            "iss": self.issuer,
            "sub": sub or "client",
            "aud": self.audience,
            "client_id": "client",
            "token_type": "Bearer",
            "jti": secrets.token_hex(16),
            "iat": int(now),
            "exp": int(now + self.lifetime.total_seconds()),
            "scope": scope,
        }
        return self.introspection.opaque_token(claims | dict(extra or {}))

    def metadata(self) -> bytes:
        known = ServerMetadata(
            issuer=self.issuer,
            authorization_endpoint=f"{self.issuer}/authorize",
            token_endpoint=f"{self.issuer}/token",
            jwks_uri=f"{self.issuer}/jwks",
            revocation_endpoint=f"{self.issuer}/revoke",
            introspection_endpoint=f"{self.issuer}/introspect",
            end_session_endpoint=f"{self.issuer}/logout",
            authorization_response_iss_parameter_supported=True,
        )
        members = msgspec.json.decode(known.to_json()) | self.metadata_changes
        return msgspec.json.encode({k: v for k, v in members.items() if v is not None})

    def authorize(self, query: str) -> str:
        """Signs `subject` in at once; gives the address that the browser goes to next."""
        request = AuthorizationRequest.parse(Form.parse(query))
        code = Secret.generate()
        with self._lock:
            self._codes[code.reveal()] = Family(request, request.scope)
        response = AuthorizationResponse(state=request.state, iss=self.issuer, code=code)
        changed: dict[str, str | None] = {**dict(response.parameters()), **self.response_changes}
        kept = [(name, value) for name, value in changed.items() if value is not None]
        return redirect_with(request.redirect_uri, kept)

    def sign_in(self, url: str) -> str:
        """Does what a browser does that is sent to this address; gives the query it comes back with.

        signed_in = flow.finish(fake.sign_in(attempt.url), attempt)
        """
        return urlsplit(self.authorize(urlsplit(url).query)).query

    def revoke(self, token: Secret) -> None:
        """A refresh token's whole family ends; an opaque token is not active any more."""
        self.revoked.append(token.fingerprint())
        self.refresh_tokens.end(token)
        self.introspection.forget(token)

    def token(self, asked: Asked) -> tuple[int, bytes]:
        try:
            grant_type = asked.form.required("grant_type", str)
            self.record.count(grant_type)
            further = self.grants.get(grant_type)
            response = further(asked) if further else self._tokens(grant_type, asked.form)
        except OAuthError as refusal:
            members = {"error": refusal.code.value, "error_description": refusal.description}
            return refusal.status, msgspec.json.encode(members)
        changed = msgspec.json.decode(response.to_json()) | self.changes
        return 200, msgspec.json.encode({k: v for k, v in changed.items() if v is not None})

    def _tokens(self, grant_type: str, form: Form) -> TokenResponse:
        scope = form.optional("scope", parse_scope) or frozenset()
        resource = form.every("resource") or (self.audience,)
        match grant_type:
            case "client_credentials":
                token = self.access_token(scope=" ".join(sorted(scope)), aud=resource)
                return TokenResponse(
                    access_token=token, token_type="Bearer", expires_in=self.lifetime, scope=scope
                )
            case "authorization_code":
                return self._first(form, resource)
            case "refresh_token":
                return self._next(form, scope, resource)
            case _:
                raise OAuthError(ErrorCode.UNSUPPORTED_GRANT_TYPE, "there is no such grant here")

    def _first(self, form: Form, resource: tuple[str, ...]) -> TokenResponse:
        with self._lock:
            family = self._codes.pop(form.required("code", str), None)
        if family is None:
            raise OAuthError(ErrorCode.INVALID_GRANT, "the code is not valid")
        require_verifier(form.optional("code_verifier", Secret), family.request.code_challenge)
        first, nonce = self.refresh_tokens.begin(family), family.request.nonce
        return self._delegated(family, family.scope, resource, first, nonce=nonce)

    def _next(self, form: Form, scope: Scope, resource: tuple[str, ...]) -> TokenResponse:
        family, successor = self.refresh_tokens.spend(
            form.required("refresh_token", Secret), self.clock.timestamp()
        )
        return self._delegated(family, scope or family.scope, resource, successor)

    def _delegated(
        self,
        family: Family,
        scope: Scope,
        resource: tuple[str, ...],
        refresh_token: Secret | None,
        *,
        nonce: Secret | None = None,
    ) -> TokenResponse:
        client_id = family.request.client_id
        access_token = self.access_token(
            scope=" ".join(sorted(scope)), sub=self.subject, client_id=client_id, aud=resource
        )
        return TokenResponse(
            access_token=access_token,
            token_type="Bearer",
            expires_in=self.lifetime,
            refresh_token=refresh_token,
            id_token=self._id_token(client_id, access_token, nonce),
            scope=scope,
        )

    def _id_token(self, client_id: str, access_token: Secret, nonce: Secret | None) -> Secret:
        now = self.clock.now()
        token = mint_id_token(
            iss=self.issuer,
            sub=self.subject,
            aud=client_id,
            nonce=nonce.reveal() if nonce else None,
            auth_time=now,
            sid="sid",
            access_token=access_token,
            now=now,
            lifetime=timedelta(minutes=5),
            key=self.key,
        )
        if not self.id_token_changes:
            return token
        claims = msgspec.json.decode(parse(token.reveal()).payload) | self.id_token_changes
        kept = {name: value for name, value in claims.items() if value is not None}
        return Secret(sign(msgspec.json.encode(kept), self.key, typ=TYP))
