"""What settings say, in the server's own types: everything that can be checked without a database."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mintmark.app.grants import OwnGrant
from mintmark.app.registry import make_account, make_config, make_registry
from mintmark.app.settings import Settings
from mintmark.app.trust import make_issuers
from mintmark.server.assertion_issuers import AssertionIssuer
from mintmark.server.clients import ClientRegistry, SecretKey
from mintmark.server.config import ServerConfig
from mintmark.server.sealing import Sealer
from mintmark.server.stores import AccountRecord

__all__ = ["Parts", "require_usable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What settings say, in the server's own types."""

    config: ServerConfig
    clients: ClientRegistry
    people: list[AccountRecord]
    sealer: Sealer
    secret_key: SecretKey
    issuers: Mapping[str, AssertionIssuer] = field(default_factory=dict)
    own_grants: tuple[OwnGrant[Any], ...] = ()


def require_usable(
    settings: Settings,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    own_grants: Sequence[OwnGrant[Any]] = (),
) -> Parts:
    """Everything that the settings say, checked, without touching the database.

    Raises:
        SettingsRefused: the first thing that is wrong.
    """
    environment = os.environ if environment is None else environment
    sealer = Sealer(settings.read_master_key(environment, folder))
    secret_key = SecretKey(sealer.key("client secrets"))
    return Parts(
        config=make_config(settings),
        clients=make_registry(
            settings, secret_key, environment, folder, tuple(one.grant_type for one in own_grants)
        ),
        people=[make_account(user, environment, folder) for user in settings.users],
        sealer=sealer,
        secret_key=secret_key,
        issuers=make_issuers(settings, folder),
        own_grants=tuple(own_grants),
    )
