"""How a client proves to the server who is asking, anew for every request.

Whatever may be rotated can be given as a callable: it is asked for each request, in the thread
that sends it, so that a new secret or key is used from the next request on and without a restart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol, TypeVar, final

from mintmark.client.errors import ProofUnavailable
from mintmark.jose.keys import SigningKey
from mintmark.protocol.client_assertion import (
    LIFETIME,
    LONGEST_LIFETIME,
    assertion_parameters,
    make_client_assertion,
)
from mintmark.protocol.client_authentication import ClientAuthenticationMethod, basic_header
from mintmark.protocol.token import encode_form
from mintmark.secret import Secret

__all__ = [
    "AssertionAudience",
    "ClientProof",
    "ClientSecret",
    "FederatedAssertion",
    "PrivateKeyJwt",
    "ProofAudience",
    "PublicClient",
    "current_key",
]

T = TypeVar("T", Secret, SigningKey)

Parameters = list[tuple[str, str]]
Proved = tuple[bytes, dict[str, str]]

MAX_ASSERTION: Final = 16 * 1024
"""Bytes. A longer file is another file, mounted in the wrong place."""


class AssertionAudience(StrEnum):
    """Which name of the server an assertion is made out to."""

    ISSUER = "issuer"
    TOKEN_ENDPOINT = "token_endpoint"  # noqa: S105 -- a name of metadata, no password


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofAudience:
    """Who is asked, by each of its names."""

    issuer: str
    token_endpoint: str


class ClientProof(Protocol):
    """Adds to a form post what proves whose it is."""

    def prove(
        self, parameters: Parameters, *, client_id: str, audience: ProofAudience, now: float
    ) -> Proved:
        """Body and headers of one request; they are good for no other one.

        Args:
            now: seconds since 1970.

        Raises:
            ProofUnavailable: what proves it is not to be had; nothing may be sent.
        """
        ...


@final
@dataclass(frozen=True, slots=True)
class PublicClient:
    """A client that can keep no secret: it says its name and proves nothing."""

    def prove(
        self,
        parameters: Parameters,
        *,
        client_id: str,
        audience: ProofAudience,  # noqa: ARG002 -- a name alone is made out to nobody
        now: float,  # noqa: ARG002 -- nor for a moment
    ) -> Proved:
        return _form([*parameters, ("client_id", client_id)])


SECRET_METHODS: Final = (
    ClientAuthenticationMethod.CLIENT_SECRET_BASIC,
    ClientAuthenticationMethod.CLIENT_SECRET_POST,
)


@final
@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A secret that both sides know (RFC 6749 §2.3.1).

    Args:
        secret: or a callable that gives the one of this moment.
        method: HTTP Basic, or `client_secret_post` for servers that read it in the form alone.
    """

    secret: Secret | Callable[[], Secret]
    method: ClientAuthenticationMethod = ClientAuthenticationMethod.CLIENT_SECRET_BASIC

    def __post_init__(self) -> None:
        if self.method not in SECRET_METHODS:
            raise ValueError(f"a secret is not sent by {self.method}")

    def prove(
        self,
        parameters: Parameters,
        *,
        client_id: str,
        audience: ProofAudience,  # noqa: ARG002 -- a secret names nobody
        now: float,  # noqa: ARG002 -- nor a moment
    ) -> Proved:
        secret = _current(self.secret, Secret, "client secret")
        if self.method is ClientAuthenticationMethod.CLIENT_SECRET_BASIC:
            body, headers = _form(parameters)
            return body, {**headers, "authorization": basic_header(client_id, secret)}
        own = [("client_id", client_id), ("client_secret", secret.reveal())]
        return _form([*parameters, *own])


@final
@dataclass(frozen=True, slots=True)
class PrivateKeyJwt:
    """A signature, made anew for each request: no secret leaves this machine (RFC 7523 §2.2).

    Args:
        key: or a callable that gives the one of this moment. Publish a new key's public half with
            the server first, and only then begin to sign with it.
        audience: the issuer. The token endpoint is for servers that know themselves by no other
            name; an assertion made out to it says less about whom it is meant for.
        lifetime: from a second to five minutes; a request takes less than one.
    """

    key: SigningKey | Callable[[], SigningKey]
    audience: AssertionAudience = AssertionAudience.ISSUER
    lifetime: timedelta = LIFETIME

    def __post_init__(self) -> None:
        if not timedelta(seconds=1) <= self.lifetime <= LONGEST_LIFETIME:
            raise ValueError(f"lifetime ({self.lifetime}) must be 1 s to 5 min")

    def prove(
        self, parameters: Parameters, *, client_id: str, audience: ProofAudience, now: float
    ) -> Proved:
        by_issuer = self.audience is AssertionAudience.ISSUER
        assertion = make_client_assertion(
            self.signing_key(),
            client_id=client_id,
            audience=audience.issuer if by_issuer else audience.token_endpoint,
            now=now,
            lifetime=self.lifetime,
        )
        return _form([*parameters, *assertion_parameters(client_id, assertion)])

    def signing_key(self) -> SigningKey:
        """The key of this moment. Raises `ProofUnavailable`."""
        return current_key(self.key)


@final
@dataclass(frozen=True, slots=True)
class FederatedAssertion:
    """An assertion that somebody else made: the platform this workload runs on (RFC 7523 §3).

    Args:
        source: a file, read anew for every request, for the platform replaces it before it ends;
            or a callable that fetches one.
    """

    source: Path | Callable[[], Secret]

    def prove(
        self,
        parameters: Parameters,
        *,
        client_id: str,
        audience: ProofAudience,  # noqa: ARG002 -- whoever made the assertion decided that
        now: float,  # noqa: ARG002 -- and that as well
    ) -> Proved:
        if isinstance(self.source, Path):
            assertion = _read_assertion(self.source)
        else:
            assertion = _current(self.source, Secret, "federated assertion")
        return _form([*parameters, *assertion_parameters(client_id, assertion)])


def _form(parameters: Parameters) -> Proved:
    # What is asked for may say `client_id` as well, and no parameter comes twice (RFC 6749 §3.2).
    return encode_form(list(dict.fromkeys(parameters))), {
        "content-type": "application/x-www-form-urlencoded",
        "accept": "application/json",
    }


def current_key(source: SigningKey | Callable[[], SigningKey]) -> SigningKey:
    """The key, or what the callable gives now. Raises `ProofUnavailable`."""
    return _current(source, SigningKey, "signing key")


def _current(source: T | Callable[[], T], kind: type[T], what: str) -> T:
    if isinstance(source, kind):
        return source
    assert callable(source)
    try:
        value = source()
    except Exception as failure:  # noqa: BLE001 -- a vault's own exceptions are of any type
        # The type alone, and no cause: the message may quote what was being fetched.
        raise ProofUnavailable(f"the {what}: {type(failure).__name__}") from None
    if not isinstance(value, kind):
        raise ProofUnavailable(f"the {what}: the callable gave no {kind.__name__}")
    return value


def _read_assertion(path: Path) -> Secret:
    try:
        # Anything but a file (a pipe, say) could make the caller wait for ever.
        if not path.is_file():
            raise ProofUnavailable("the federated assertion: there is no such file")
        with path.open("rb") as file:
            content = file.read(MAX_ASSERTION + 1)
    except OSError as failure:
        raise ProofUnavailable(f"the federated assertion: {type(failure).__name__}") from None
    text = content.decode("ascii", errors="replace").strip()
    # An empty or half-written file must not become a request that proves nothing.
    if len(content) > MAX_ASSERTION or not text.isascii() or not text.isprintable() or not text:
        raise ProofUnavailable("the federated assertion: the file holds none")
    return Secret(text)
