"""How this API proves to an authorization server who is asking."""

from dataclasses import dataclass
from typing import Final, Protocol, final

from mintmark.jose.keys import SigningKey
from mintmark.protocol.client_assertion import assertion_parameters, make_client_assertion
from mintmark.protocol.client_authentication import basic_header
from mintmark.protocol.token import encode_form
from mintmark.secret import Secret

__all__ = ["ClientProof", "ClientSecretBasic", "ClientSecretPost", "PrivateKeyJwt"]

Parameters = list[tuple[str, str]]

_FORM: Final = ("content-type", "application/x-www-form-urlencoded")


class ClientProof(Protocol):
    """Adds to a form post what proves whose it is."""

    @property
    def client_id(self) -> str:
        """This API's name with the authorization server."""
        ...

    def prove(
        self, parameters: Parameters, *, audience: str, now: float
    ) -> tuple[bytes, dict[str, str]]:
        """Body and headers of one request; they are good for no other one.

        Args:
            audience: the issuer identifier of the server that is asked.
            now: seconds since 1970.
        """
        ...


@final
@dataclass(frozen=True, slots=True)
class ClientSecretBasic:
    """A shared secret in the `Authorization` header (RFC 6749 §2.3.1)."""

    client_id: str
    client_secret: Secret

    def prove(
        self,
        parameters: Parameters,
        *,
        audience: str,  # noqa: ARG002 -- a secret names nobody
        now: float,  # noqa: ARG002 -- nor a moment
    ) -> tuple[bytes, dict[str, str]]:
        authorization = basic_header(self.client_id, self.client_secret)
        return encode_form(parameters), dict([_FORM, ("authorization", authorization)])


@final
@dataclass(frozen=True, slots=True)
class ClientSecretPost:
    """A shared secret in the body: for servers that read it nowhere else."""

    client_id: str
    client_secret: Secret

    def prove(
        self,
        parameters: Parameters,
        *,
        audience: str,  # noqa: ARG002 -- a secret names nobody
        now: float,  # noqa: ARG002 -- nor a moment
    ) -> tuple[bytes, dict[str, str]]:
        own = [("client_id", self.client_id), ("client_secret", self.client_secret.reveal())]
        return encode_form([*parameters, *own]), dict([_FORM])


@final
@dataclass(frozen=True, slots=True)
class PrivateKeyJwt:
    """A signature, made anew for each request (RFC 7523 §2.2). The server knows no secret."""

    client_id: str
    key: SigningKey

    def prove(
        self, parameters: Parameters, *, audience: str, now: float
    ) -> tuple[bytes, dict[str, str]]:
        assertion = make_client_assertion(
            self.key, client_id=self.client_id, audience=audience, now=now
        )
        own = assertion_parameters(self.client_id, assertion)
        return encode_form([*parameters, *own]), dict([_FORM])
