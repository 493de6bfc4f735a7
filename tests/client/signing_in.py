"""A client that signs people in at a fuller authority."""

from typing import Any

from mintmark.client import (
    Authority,
    Client,
    ClientProof,
    LoginFlow,
    RegisteredResponses,
    SignedIn,
    StepUpRequired,
    TokenManager,
)
from mintmark.client.proof import ClientSecret
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.fake_authorization import FakeAuthorization

__all__ = ["CALLBACK", "SignIns"]

CALLBACK = "https://app.example/callback"
API = "https://api.example"


class SignIns:
    """Makes flows, and takes a browser through them."""

    def __init__(self, authority: FakeAuthority, clock: FrozenClock) -> None:
        authority.clock = clock
        self.authority = authority
        self.clock = clock
        self.front = FakeAuthorization(authority, par=False)
        self.clients: list[Client] = []

    def offer_par(self) -> None:
        members = {"pushed_authorization_request_endpoint": f"{self.authority.issuer}/par"}
        self.authority.metadata_changes |= members

    def client(
        self, *, proof: ClientProof | None = None, responses: RegisteredResponses | None = None
    ) -> Client:
        made = Client(
            Authority(self.authority.issuer, policy=self.authority.policy, clock=self.clock),
            client_id="client",
            proof=proof or ClientSecret(Secret("a-client-secret-of-this-test-alone")),
            tokens=TokenManager(clock=self.clock),
            responses=responses,
        )
        self.clients.append(made)
        return made

    def flow(self, client: Client | None = None, **settings: Any) -> LoginFlow:
        return (client or self.client()).login(
            redirect_uri=CALLBACK,
            scope="openid offline_access orders.read",
            **({"resource": API} | settings),
        )

    def sign_in(
        self, flow: LoginFlow, *, step_up: StepUpRequired | None = None, **options: Any
    ) -> SignedIn:
        attempt = flow.begin(step_up=step_up, **options)
        return flow.finish(self.front.authorize(attempt.url), attempt)

    def asked(self) -> dict[str, tuple[str, ...]]:
        """The last request, as the server understood it."""
        return dict(self.front.requests[-1].values)
