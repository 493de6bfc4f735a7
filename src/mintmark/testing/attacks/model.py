"""What an attack is: requests as data, and beside each the one right answer."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, final

if TYPE_CHECKING:
    from mintmark.testing.authority import FakeAuthority
    from mintmark.testing.mint import Mint

__all__ = ["ACCEPTED", "CLOSED", "GONE", "HIDDEN", "PASSED", "R0", "R1", "R1_DPOP", "R2", "R3", "R4",
    "R5", "R6", "R7", "R8", "REFUSES_TO_START", "Answer", "Attack", "Fetches", "Flood", "Fork",
    "Group", "Issuer", "Pause", "Request", "Route", "Send", "Setting", "Step", "Variant", "Wait",
    "answers_to"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the list: its name, status, and the one challenge that carries an error.

    `scheme` and `error` are empty where nothing of the kind may be there. `parameters` are those
    that must stand in the challenge, with exactly these values.
    """

    code: str
    status: int
    scheme: str = ""
    error: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    offers: str = ""  # a further challenge, without an error, that must stand beside it

    def offering(self, scheme: str) -> "Answer":
        return replace(self, offers=scheme)

    def saying(self, **parameters: str) -> "Answer":
        return replace(self, parameters=(*self.parameters, *parameters.items()))

    def __str__(self) -> str:
        words = [str(self.status), self.scheme, self.error]
        words += [f'{name}="{value}"' for name, value in self.parameters]
        return f"{self.code} ({' '.join(word for word in words if word)})"


ACCEPTED: Final = Answer("accepted", 200)
PASSED: Final = Answer("passed through", 0)
"""Not refused by the guard; what the application says to it is its own affair."""
CLOSED: Final = Answer("closed", 1008)
"""A WebSocket handshake refused by a server that cannot send an HTTP answer to it."""
GONE: Final = Answer("closed later", 4401)
"""A stream that was open and has been closed, with 1008 or 4401."""
HIDDEN: Final = Answer("hidden", 404)
REFUSES_TO_START: Final = Answer("refuses to start", 0)
R0: Final = Answer("R0", 401, "Bearer")
R1: Final = Answer("R1", 401, "Bearer", "invalid_token")
R1_DPOP: Final = Answer("R1", 401, "DPoP", "invalid_token")
R2: Final = Answer("R2", 400, "Bearer", "invalid_request")
R3: Final = Answer("R3", 403, "Bearer", "insufficient_scope")
R4: Final = Answer("R4", 401, "DPoP", "invalid_dpop_proof")
R5: Final = Answer("R5", 401, "DPoP", "use_dpop_nonce")
R6: Final = Answer("R6", 401, "Bearer", "insufficient_user_authentication")
R7: Final = Answer("R7", 503)
R8: Final = Answer("R8", 403)


class Setting(StrEnum):
    """How the API under attack is set up. One that does not exist there is not attacked."""

    PLAIN = "plain"  # one issuer; encryption, DPoP and opaque tokens are off
    BODY_METHOD = "body-method"  # tokens are read from form bodies too
    TWO_ISSUERS = "two-issuers"  # the issuer and its partner, each with keys of its own
    TENANTS = "tenants"  # the host name says which of the two counts
    MAX_LIFETIME = "max-lifetime"  # tokens may live for an hour
    ENCRYPTED = "encrypted"  # encrypted and plain tokens are taken
    ENCRYPTED_ONLY = "encrypted-only"
    DPOP = "dpop"  # DPoP is offered, and enforced for bound tokens; there are no nonces
    DPOP_NONCE = "dpop-nonce"  # the same, and every proof must carry a nonce
    DPOP_STORE_DOWN = "dpop-store-down"
    MTLS = "mtls"  # certificates come in Client-Cert from the peer 127.0.0.1; DPoP is offered too
    MTLS_BY_TLS = "mtls-by-tls"  # they come from the server's TLS extension
    OPAQUE = "opaque"  # the issuer's opaque tokens are introspected
    OPAQUE_SIGNED = "opaque-signed"  # the same, and its answers must be signed


class Route(StrEnum):
    """What a path of the application asks for."""

    ANY = "any"  # any valid token
    SCOPED = "scoped"  # the scopes orders.read and orders.write
    DELEGATED = "delegated"  # a person's token
    ROLE = "role"  # the scope orders.read and the role "support"
    STEP_UP = "step-up"  # acr "phr", signed in within 300 seconds
    SCOPE_AND_STEP_UP = "scope-and-step-up"  # orders.write, and the same
    RAISING = "raising"  # a policy that fails
    UNRULED = "unruled"  # no policy at all
    SECRET = "secret"  # an object of somebody else, whose refusal is 403  # noqa: S105 -- a name
    HIDDEN = "hidden"  # one that is hidden as 404
    DETAILS = "details"  # authorization_details: a payment of at most 500
    ACTOR = "actor"  # acting for somebody: at most one actor, and it is "helper"
    WEBSOCKET = "websocket"  # any valid token, over a WebSocket
    STREAM = "stream"  # the same, and it stays open


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent. Its `repr` shows nothing, because a token may be anywhere in it."""

    headers: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    method: str = "GET"
    route: Route = Route.ANY
    query: bytes = field(default=b"", repr=False)
    body: bytes = field(default=b"", repr=False)
    websocket: bool = False
    lasting: float = 0.0  # seconds that pass on the clock while this stream is open
    http_answers: bool = True  # whether this WebSocket server can answer a handshake over HTTP
    tokens: tuple[str, ...] = field(default=(), repr=False)
    """Tokens in it, beyond those after a scheme in `Authorization`: none may be seen again."""
    peer: str = "127.0.0.1"
    host: str = ""  # the Host header; the API's own unless given
    certificate: bytes = field(default=b"", repr=False)  # DER, from the TLS layer


Make = Request | Callable[[], Request]


@dataclass(frozen=True, slots=True)
class Send:
    """One request, or the same several times at once, and what each of them is answered.

    With `times` above one, exactly `accepted` of them are taken and the others get `expected`.
    """

    request: Make
    expected: Answer | None = None  # None: the attack's own
    name: str = ""
    times: int = 1
    accepted: int = 0


@dataclass(frozen=True, slots=True)
class Flood:
    """Very many requests, one after the other."""

    make: Callable[[int], Request]
    count: int
    expected: Answer | None = None
    also: Answer | None = None  # which is as right
    grows_at_most: int | None = None  # octets that may still be held afterwards


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes on the clock of the guard and the issuer; none passes in fact."""

    by: timedelta


@dataclass(frozen=True, slots=True)
class Pause:
    """Time passes in fact, for something that runs beside the requests."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Issuer:
    """The issuer does something: rotates, goes down, lies."""

    does: Callable[["FakeAuthority"], Any]
    partner: bool = False  # its partner does it instead


@dataclass(frozen=True, slots=True)
class Fetches:
    """How often the issuer was asked for keys since the last such step, or the start."""

    most: int
    least: int = 0
    of: str = "jwks"  # or "metadata", "introspect"


@dataclass(frozen=True, slots=True)
class Fork:
    """The process forks, and the child answers this request."""

    request: Make
    expected: Answer


Step = Send | Flood | Wait | Pause | Issuer | Fetches | Fork


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to try it: steps, and the honest twin that must be taken right after them."""

    name: str
    steps: tuple[Step, ...]
    before: tuple[Issuer, ...] = ()  # what the issuer does before the API starts
    twin: tuple[Step, ...] | None = None  # None: an honest token in the plainest request
    setting: Setting = Setting.PLAIN
    routes: frozenset[Route] = frozenset({Route.ANY})
    alike: bool = False  # all answers to its steps are the same, octet by octet
    starts: bool = True  # False: an API set up like this does not start

    @property
    def alone(self) -> bool:
        """Whether it changes the world, so that none can share it."""
        changes = any(not isinstance(step, Send | Fetches) for step in self.steps)
        return changes or bool(self.before) or not self.starts

    @property
    def moves_clock(self) -> bool:
        return any(isinstance(step, Wait) for step in (*self.steps, *(self.twin or ())))


Builder = Callable[["Mint"], Iterable[Variant]]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One line of the list."""

    id: str
    title: str
    expected: Answer
    build: Builder = field(repr=False)
    within: timedelta = timedelta(seconds=10)
    """For one request, and generous: it finds what hangs or blows up, not what is slow."""

    @property
    def group(self) -> str:
        return self.id[0]

    def variants(self, mint: "Mint") -> tuple[Variant, ...]:
        return tuple(self.build(mint))


@final
class Group:
    """Collects the attacks of one letter, in their order."""

    def __init__(self, letter: str) -> None:
        self._letter = letter
        self._attacks: list[Attack] = []

    def attack(
        self, attack_id: str, title: str, expected: Answer, *, within: float = 10.0
    ) -> Callable[[Builder], Builder]:
        """Makes an attack of a function that builds its variants."""
        if not attack_id.startswith(self._letter):
            raise ValueError(f"{attack_id} is not of group {self._letter}")

        def add(build: Builder) -> Builder:
            limit = timedelta(seconds=within)
            self._attacks.append(
                Attack(id=attack_id, title=title, expected=expected, build=build, within=limit)
            )
            return build

        return add

    def __iter__(self) -> Iterator[Attack]:
        return iter(self._attacks)


def answers_to(variant: Variant, attack: Attack) -> frozenset[Answer]:
    """Every answer that this variant names, for a table of them."""
    named = [step.expected for step in variant.steps if isinstance(step, Send | Flood | Fork)]
    return frozenset(answer or attack.expected for answer in named)
