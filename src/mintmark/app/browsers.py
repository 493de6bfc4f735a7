"""Everything that an authorization request meets, put together."""

from dataclasses import dataclass
from datetime import timedelta

from mintmark.app.parts import Parts
from mintmark.clock import Clock
from mintmark.events import Events
from mintmark.fetch import Fetcher, FetchPolicy
from mintmark.protocol.dpop_nonce import Nonces
from mintmark.server.accounts import Accounts
from mintmark.server.authorize.acceptable import Judge
from mintmark.server.authorize.arrival import Arrivals
from mintmark.server.authorize.interaction import Interactions
from mintmark.server.authorize.respond import Responder
from mintmark.server.authorize.steps import Authorize
from mintmark.server.client_authentication import ClientAuthentication
from mintmark.server.devices import Devices
from mintmark.server.endpoints.device_authorization import DeviceAuthorizationEndpoint
from mintmark.server.endpoints.pushed_request import PushedRequestEndpoint
from mintmark.server.proofs import Proofs
from mintmark.server.signing_keys import SigningKeys
from mintmark.server.stores import Stores

__all__ = ["Requests", "make_requests"]

MAX_FETCHED = 64 * 1024
FETCH_SECONDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Where a sign-in begins: at the browser, at the client, at a device."""

    authorize: Authorize
    pushed: PushedRequestEndpoint
    devices: Devices
    device: DeviceAuthorizationEndpoint
    fetcher: Fetcher


def make_requests(
    parts: Parts,
    stores: Stores,
    keys: SigningKeys,
    accounts: Accounts,
    authentication: ClientAuthentication,
    clock: Clock,
    events: Events,
) -> Requests:
    config, clients, sealer = parts.config, parts.clients, parts.sealer
    fetcher = Fetcher(
        FetchPolicy(
            insecure_allow_http_on_loopback=config.insecure_allow_http_on_loopback,
            timeout=timedelta(seconds=FETCH_SECONDS),
            max_bytes=MAX_FETCHED,
        )
    )
    arrivals = Arrivals(
        config=config, pushed=stores.pushed_requests, sealer=sealer, fetcher=fetcher
    )
    judge = Judge(config=config, clients=clients, keys=keys)
    authorize = Authorize(
        config=config,
        clients=clients,
        accounts=accounts,
        codes=stores.codes,
        consents=stores.consents,
        used=stores.assertions,
        arrivals=arrivals,
        judge=judge,
        responder=Responder(config=config, keys=keys),
        interactions=Interactions(sealer, config.interaction_lifetime),
        clock=clock,
    )
    pushed = PushedRequestEndpoint(
        config=config,
        authentication=authentication,
        proofs=Proofs(
            uri=config.url("/par"),
            nonces=Nonces(sealer.key("dpop nonce")) if config.dpop_nonces else None,
            used=stores.assertions,
        ),
        arrivals=arrivals,
        judge=judge,
        used=stores.assertions,
        clock=clock,
        events=events,
    )
    devices = Devices(
        config=config, clients=clients, store=stores.devices, sealer=sealer, events=events
    )
    device = DeviceAuthorizationEndpoint(
        authentication=authentication, devices=devices, clock=clock, events=events
    )
    return Requests(
        authorize=authorize, pushed=pushed, devices=devices, device=device, fetcher=fetcher
    )
