"""Tokens for tests: honest ones of every kind, and each way to break one."""

import base64
import hashlib
import secrets
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, final

import httpx2

from mintmark.clock import Clock
from mintmark.jose.base64url import encode
from mintmark.jose.keys import SigningKey
from mintmark.secret import Secret
from mintmark.testing.attacks.forging import compact, unsigned
from mintmark.testing.attacks.model import Request, Route
from mintmark.testing.authority import FakeAuthority
from mintmark.testing.proofs import ProofKey

__all__ = ["Mint", "Token"]

Seal = Callable[[str], str]


@dataclass(frozen=True)
class Token(httpx2.Auth):
    """One token and how it is presented; each method gives another, changed in one respect.

    It is an `auth` for httpx2 too: `client.get(url, auth=mint.delegated("alice"))`.
    """

    payload: Mapping[str, Any] = field(repr=False)
    header: Mapping[str, Any] = field(repr=False)
    key: SigningKey = field(repr=False)
    clock: Clock = field(repr=False)
    scheme: str = "Bearer"
    proof_key: ProofKey | None = field(default=None, repr=False)
    proof_repeats: bool = False
    certificate: bytes = field(default=b"", repr=False)
    break_text: Callable[[str], str] | None = field(default=None, repr=False)
    seal: Seal | None = field(default=None, repr=False)
    register: Callable[[Mapping[str, Any]], Secret] | None = field(default=None, repr=False)

    @cached_property
    def text(self) -> str:
        """The token itself: made at the first look, the same from then on."""
        if self.register is not None:
            return self.register(self.payload).reveal()
        text = compact(self.header, self.payload, self.key)
        if self.break_text is not None:
            text = self.break_text(text)
        return self.seal(text) if self.seal is not None else text

    def claims(self, **changes: Any) -> "Token":
        """With these claims."""
        return replace(self, payload={**self.payload, **changes})

    def without(self, *names: str) -> "Token":
        """Without these claims."""
        left = {name: value for name, value in self.payload.items() if name not in names}
        return replace(self, payload=left)

    def headed(self, **changes: Any) -> "Token":
        """With these header members."""
        return replace(self, header={**self.header, **changes})

    def unheaded(self, *names: str) -> "Token":
        """Without these header members."""
        left = {name: value for name, value in self.header.items() if name not in names}
        return replace(self, header=left)

    def signed_by(self, key: SigningKey) -> "Token":
        """Signed by another key; the header keeps the name of the first."""
        return replace(self, key=key)

    def by(self, key: SigningKey) -> "Token":
        """Signed by another key, and saying so."""
        return replace(self.headed(alg=key.algorithm.value, kid=key.kid), key=key)

    def expired(self, by: timedelta = timedelta(hours=1)) -> "Token":
        now = int(self.clock.timestamp())
        return self.claims(exp=now - int(by.total_seconds()), iat=now - 86_400)

    def broken(self, how: str) -> "Token":
        """Broken in a way that has a name (`BREAKAGES`)."""
        if how not in BREAKAGES:
            raise ValueError(f"{how!r} is none of {', '.join(sorted(BREAKAGES))}")
        return BREAKAGES[how](self)

    def dpop(self, key: ProofKey | None = None) -> "Token":
        """Bound to a key (a new one unless given), and sent with a proof for each request."""
        key = key or ProofKey.generate()
        cnf = {**self.payload.get("cnf", {}), "jkt": key.thumbprint}
        return replace(self.claims(cnf=cnf), proof_key=key, scheme="DPoP")

    def replayed(self) -> "Token":
        """Its first proof is sent with every request."""
        return replace(self, proof_repeats=True)

    def as_bearer(self) -> "Token":
        """Whatever it is bound to, it is sent as a bearer token."""
        return replace(self, scheme="Bearer", proof_key=None, certificate=b"")

    def cert(self, der: bytes) -> "Token":
        """Bound to this certificate, which comes along in `Client-Cert` (RFC 9440 §2.2)."""
        thumbprint = encode(hashlib.sha256(der).digest())
        cnf = {**self.payload.get("cnf", {}), "x5t#S256": thumbprint}
        return replace(self.claims(cnf=cnf), certificate=der)

    def encrypted(self, seal: Seal) -> "Token":
        """Inside a JWE that `seal` makes of the signed token."""
        return replace(self, seal=seal)

    @cached_property
    def _first_proof(self) -> list[str]:
        return []

    def headers(self, method: str = "GET", url: str = "") -> list[tuple[str, str]]:
        """What a request that carries this token has to say."""
        found = [("authorization", f"{self.scheme} {self.text}")]
        if self.proof_key is not None:
            if not (self.proof_repeats and self._first_proof):
                proof = self.proof_key.proof(
                    method, url, now=self.clock.timestamp(), token=self.text
                )
                self._first_proof[:] = [proof]
            found.append(("dpop", self._first_proof[0]))
        if self.certificate:
            # RFC 8941 §3.3.5: a byte sequence stands between colons.
            found.append(("client-cert", f":{base64.b64encode(self.certificate).decode()}:"))
        return found

    def auth_flow(
        self, request: httpx2.Request
    ) -> Generator[httpx2.Request, httpx2.Response, None]:
        url = str(request.url.copy_with(query=None, fragment=None))
        for name, value in self.headers(request.method, url):
            request.headers[name] = value
        yield request


def _truncated(text: str) -> str:
    return text.rpartition(".")[0] + "."


def _alg_none(token: Token) -> Token:
    header = {**token.header, "alg": "none"}
    return replace(token, break_text=lambda _: unsigned(header, token.payload))


BREAKAGES: Final[Mapping[str, Callable[[Token], Token]]] = {
    "alg-none": _alg_none,
    "no-signature": lambda token: replace(token, break_text=_truncated),
    "other-key": lambda token: token.signed_by(SigningKey.generate(token.key.algorithm)),
    "unknown-kid": lambda token: token.headed(kid="nobody's"),
    "id-token-typ": lambda token: token.headed(typ="JWT"),
    "no-typ": lambda token: token.unheaded("typ"),
    "no-exp": lambda token: token.without("exp"),
    "no-audience": lambda token: token.without("aud"),
    "other-audience": lambda token: token.claims(aud="https://other.example"),
    "other-issuer": lambda token: token.claims(iss="https://other.example"),
    "from-the-future": lambda token: token.claims(nbf=int(token.clock.timestamp()) + 3600),
}


@final
class Mint:
    """Makes tokens of one issuer for one API.

    Args:
        issuer: whose keys sign; it may rotate, go down and lie.
        audience: the API's own identifier.
        others: serves another authority for as long as this mint is in use.
        skew: what the API forgives a clock.
        cache_size: how many tokens it remembers.
        proofs_per_key: how many proofs of one key it takes within their time.
    """

    def __init__(
        self,
        issuer: FakeAuthority,
        *,
        audience: str = "https://api.example",
        scopes: str = "orders.read",
        skew: timedelta = timedelta(seconds=30),
        cache_size: int = 10_000,
        proofs_per_key: int = 1_000,
        others: Callable[[], FakeAuthority] | None = None,
    ) -> None:
        self.issuer = issuer
        self.audience = audience
        self.scopes = scopes
        self.skew = skew
        self.cache_size = cache_size
        self.proofs_per_key = proofs_per_key
        self.nonce_lifetime = timedelta(seconds=60)
        self.unknown_per_peer = 600
        self.nonces: list[str] = []
        """Those that the API has given out, the last one last."""
        self.routes: Mapping[Route, str] = {}
        self._others = others

    @property
    def now(self) -> int:
        return int(self.issuer.clock.timestamp())

    @cached_property
    def partner(self) -> FakeAuthority:
        """A second issuer, trusted where the setting says so."""
        return self._other()

    @cached_property
    def stranger(self) -> FakeAuthority:
        """An issuer that nobody trusts, and whose every visitor is counted."""
        return self._other()

    def _other(self) -> FakeAuthority:
        if self._others is None:
            raise ValueError("this mint knows of one issuer alone")
        return self._others()

    def application(self, name: str = "nightly", scopes: str | None = None) -> Token:
        """An application's own token (RFC 9068 §2.2)."""
        return self._token(name, name, scopes)

    def delegated(
        self,
        subject: str = "alice",
        scopes: str | None = None,
        *,
        client: str = "shop",
        acr: str | None = None,
        auth_age: int | None = None,
    ) -> Token:
        """A person's token: what they let `client` do, and how and when they signed in."""
        token = self._token(subject, client, scopes)
        if acr is not None:
            token = token.claims(acr=acr)
        return token if auth_age is None else token.claims(auth_time=self.now - auth_age)

    def on_behalf(
        self, subject: str, actor: str, *further: str, scopes: str | None = None
    ) -> Token:
        """A person's token that `actor` uses, for whom the `further` ones acted (RFC 8693 §4.1)."""
        act: dict[str, Any] = {}
        for one in reversed((actor, *further)):
            act = {"sub": one, **({"act": act} if act else {})}
        return self._token(subject, actor, scopes).claims(act=act)

    def opaque(self, subject: str = "alice", scopes: str | None = None) -> Token:
        """A token that only its issuer can read."""
        register = self.issuer.introspection.opaque_token
        return replace(self._token(subject, "shop", scopes), register=register)

    def of(self, issuer: FakeAuthority) -> Token:
        """The same honest token from somebody else."""
        return self.delegated().claims(iss=issuer.issuer).by(issuer.key)

    def _token(self, subject: str, client: str, scopes: str | None) -> Token:
        key, now = self.issuer.key, self.now
        payload = {
            "iss": self.issuer.issuer,
            "sub": subject,
            "aud": self.audience,
            "client_id": client,
            "iat": now,
            "exp": now + int(self.issuer.lifetime.total_seconds()),
            "jti": secrets.token_hex(16),
            "scope": self.scopes if scopes is None else scopes,
        }
        header = {"alg": key.algorithm.value, "typ": "at+jwt", "kid": key.kid}
        return Token(payload=payload, header=header, key=key, clock=self.issuer.clock)

    def url(self, route: Route = Route.ANY) -> str:
        """Where a route is, as a proof says it; the path is the application's choice."""
        return f"{self.audience}{self.routes.get(route, f'/{route}')}"

    def ask(self, token: Token, route: Route = Route.ANY, method: str = "GET") -> Request:
        """An honest request with this token."""
        url = self.url(route)
        headers = tuple((n.encode(), v.encode()) for n, v in token.headers(method, url))
        return Request(headers=headers, route=route, method=method)

    def carry(self, text: str | bytes, scheme: bytes = b"Bearer", **rest: Any) -> Request:
        """A request with this text where a token belongs."""
        octets = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        return Request(headers=((b"authorization", scheme + b" " + octets),), **rest)
