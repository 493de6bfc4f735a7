"""The one place that puts a token server together: settings in, an ASGI application out.

`build` reads like the list of parts that it is. Nothing else constructs an endpoint.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, final
from urllib.parse import urlsplit

from mintmark.app.browsers import make_requests
from mintmark.app.grants import GrantParts, OwnGrant, make_grants
from mintmark.app.parts import Parts, require_usable
from mintmark.app.settings import Settings, SettingsRefused
from mintmark.clock import Clock, SystemClock
from mintmark.events import Events, LogEvents
from mintmark.fetch import Fetcher
from mintmark.pages.site import Site
from mintmark.protocol.dpop_nonce import Nonces
from mintmark.protocol.metadata import oauth_metadata_url, openid_configuration_url
from mintmark.server.accounts import Accounts
from mintmark.server.asgi import MachineEndpoints, Route, path_of
from mintmark.server.assertion_issuers import AssertionIssuer
from mintmark.server.client_authentication import ClientAuthentication
from mintmark.server.cross_origin import CrossOrigin
from mintmark.server.end_session import EndSession
from mintmark.server.endpoints.introspection import IntrospectionEndpoint
from mintmark.server.endpoints.published import Published, metadata_of
from mintmark.server.endpoints.revocation import RevocationEndpoint
from mintmark.server.endpoints.token import TokenEndpoint
from mintmark.server.endpoints.userinfo import UserInfoEndpoint
from mintmark.server.mint import Mint
from mintmark.server.presented import PresentedTokens
from mintmark.server.proofs import Proofs
from mintmark.server.sessions import Sessions
from mintmark.server.signing_keys import SigningKeys
from mintmark.server.stores import AccountRecord, AccountStore, Stores, StoreUnavailable
from mintmark.server.throttle import Throttle
from mintmark.storage.sql.migrations import require_current
from mintmark.storage.sql.stores import SqlStores

__all__ = [
    "GrantParts",
    "OwnGrant",
    "Parts",
    "Server",
    "Settings",
    "SettingsRefused",
    "build",
    "open_server",
    "require_usable",
]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

GET = frozenset({"GET", "HEAD"})
POST = frozenset({"POST"})
OPTIONS = frozenset({"OPTIONS"})


@final
class Server:
    """A token server as an ASGI application, mountable below any path."""

    def __init__(
        self,
        issuer: str,
        machines: MachineEndpoints,
        site: Site,
        accounts: Accounts,
        stores: Stores,
        keys: SigningKeys,
        clock: Clock,
        issuers: Iterable[AssertionIssuer] = (),
        closes: Iterable[Fetcher] = (),
    ) -> None:
        self._issuers = tuple(issuers)
        self._fetchers = tuple(closes)
        self._prefix = urlsplit(issuer).path.rstrip("/")
        self._machines = machines
        self._site = site
        self._accounts = accounts
        self._clock = clock
        self.stores = stores
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._prefix and not scope.get("root_path") and _below(scope, self._prefix):
            # An issuer with a path, served without a mount: its path is where it is mounted.
            scope = {**scope, "root_path": self._prefix}
        if scope["type"] == "http" and self._machines.has(path_of(scope)):
            await self._machines(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _answer_lifespan(receive, send)
        else:
            await self._site.app(scope, receive, send)

    async def keep_tidy(self, every: timedelta = timedelta(minutes=1)) -> NoReturn:
        """Delete what is over, in small batches, until the task is cancelled.

        Nothing else does: whoever mounts a server runs this beside it, or the database grows.
        """
        prune = getattr(self.stores, "prune", None)
        while True:
            if prune is not None:
                # Full or locked: what is over then goes the next time.
                with contextlib.suppress(StoreUnavailable):
                    while await prune(now=self._clock.now()) > 0:
                        continue
            await asyncio.sleep(every.total_seconds())

    def close(self) -> None:
        """Finish what is being written, and stop the pools."""
        self._accounts.close()
        for issuer in self._issuers:
            issuer.keys.close()
        for fetcher in self._fetchers:
            fetcher.close()
        close = getattr(self.stores, "close", None)
        if close is not None:
            close()


async def open_server(
    settings: Settings,
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    events: Events | None = None,
    own_grants: Sequence[OwnGrant[Any]] = (),
) -> Server:
    """A server on its database, ready to answer.

    Args:
        own_grants: grant types beside ours.

    Raises:
        SettingsRefused, DatabaseNotCurrent, StoreUnavailable, WrongMasterKey: each with one line
            that says what to do.
    """
    parts = require_usable(settings, folder, environment, own_grants=own_grants)
    path = settings.database_path(folder)
    # Alembic runs its own small event loop of nothing; it must not run on ours.
    await asyncio.to_thread(require_current, path)
    stores = SqlStores.open(path)
    try:
        return await build(
            parts, stores, clock=clock or SystemClock(), events=events or LogEvents()
        )
    except BaseException:
        stores.close()
        raise


async def build(parts: Parts, stores: Stores, *, clock: Clock, events: Events) -> Server:
    """Every part of a server, wired by hand."""
    config, clients, sealer = parts.config, parts.clients, parts.sealer
    await _put_people(parts.people, stores.accounts)
    keys = await SigningKeys.load(
        stores.keys, sealer, now=clock.now(), algorithm=config.signing_algorithm
    )
    accounts = Accounts(stores.accounts)
    mint = Mint(config=config, clients=clients, keys=keys)
    authentication = ClientAuthentication(
        clients=clients,
        secret_key=parts.secret_key,
        assertions=stores.assertions,
        audiences=frozenset({config.issuer, config.url("/token"), config.url("/par")}),
        throttle=Throttle(limit=20, window=timedelta(minutes=1)),
        events=events,
    )
    requests = make_requests(parts, stores, keys, accounts, authentication, clock, events)
    sessions = Sessions(store=stores.sessions, refresh_tokens=stores.refresh_tokens, config=config)
    presented = PresentedTokens(
        config=config,
        clients=clients,
        keys=keys,
        accounts=accounts,
        refresh_tokens=stores.refresh_tokens,
    )
    grants = make_grants(
        GrantParts(
            config=config,
            clients=clients,
            stores=stores,
            accounts=accounts,
            mint=mint,
            presented=presented,
            events=events,
        ),
        parts.issuers,
        parts.own_grants,
    )
    proofs = Proofs(
        uri=config.url("/token"),
        nonces=Nonces(sealer.key("dpop nonce")) if config.dpop_nonces else None,
        used=stores.assertions,
    )
    token = TokenEndpoint(
        authentication=authentication, proofs=proofs, grants=grants, clock=clock, events=events
    )
    introspection = IntrospectionEndpoint(
        config=config,
        clients=clients,
        keys=keys,
        authentication=authentication,
        presented=presented,
        refresh_tokens=stores.refresh_tokens,
        clock=clock,
    )
    userinfo = UserInfoEndpoint(
        config=config,
        keys=keys,
        accounts=accounts,
        proofs=Proofs(uri=config.url("/userinfo"), nonces=None, used=stores.assertions),
        clock=clock,
    )
    revocation = RevocationEndpoint(
        authentication=authentication, refresh_tokens=stores.refresh_tokens, clock=clock
    )
    metadata = Published.of(
        metadata_of(config, clients, keys, grants.grant_types).to_json(),
        b"application/json",
        max_age=3600,
    )
    jwks = Published.of(keys.key_set.to_json(), b"application/jwk-set+json", max_age=600)
    below = config.issuer.rstrip("/")
    machines = MachineEndpoints(
        {
            "/token": Route(CrossOrigin(token, clients), POST | OPTIONS),
            "/par": Route(requests.pushed, POST),
            "/device_authorization": Route(requests.device, POST),
            "/revoke": Route(revocation, POST),
            "/introspect": Route(introspection, POST),
            "/userinfo": Route(userinfo, GET | POST),
            "/jwks": Route(jwks, GET),
            openid_configuration_url(config.issuer).removeprefix(below): Route(metadata, GET),
            _path(oauth_metadata_url(config.issuer)): Route(metadata, GET),
        },
        events,
    )
    site = Site(
        config=config,
        clients=clients,
        accounts=accounts,
        sessions=sessions,
        authorize=requests.authorize,
        devices=requests.devices,
        end_session=EndSession(
            config=config,
            clients=clients,
            keys=keys,
            sessions=sessions,
            clock=clock,
            events=events,
        ),
        csrf_key=sealer.key("csrf"),
        clock=clock,
        events=events,
    )
    return Server(
        config.issuer,
        machines,
        site,
        accounts,
        stores,
        keys,
        clock,
        parts.issuers.values(),
        [requests.fetcher],
    )


async def _put_people(people: list[AccountRecord], accounts: AccountStore) -> None:
    """Who is in the settings may sign in, and nobody else.

    Somebody who was taken out is disabled, not deleted: a subject is never given to another.
    """
    wanted = {person.subject for person in people}
    for subject in await accounts.subjects():
        account = await accounts.find(subject)
        if account is not None and subject not in wanted and not account.disabled:
            await accounts.put(replace(account, disabled=True))
    for person in people:
        await accounts.put(person)


def _below(scope: Scope, prefix: str) -> bool:
    path: str = scope.get("path", "")
    return scope["type"] == "http" and path.startswith(prefix + "/")


def _path(url: str) -> str:
    return "/" + url.partition("://")[2].partition("/")[2]


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
