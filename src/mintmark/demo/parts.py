"""What the parts of the demo must agree on: addresses, names, secrets."""

import secrets
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from mintmark.app.settings import (
    ClientSettings,
    DatabaseSettings,
    ResourceSettings,
    SecretSource,
    Settings,
    UserSettings,
)

__all__ = ["PASSWORD", "PERSON", "Addresses", "Demo", "Traffic"]

PERSON = "alice"
PASSWORD = "wonderland"
USER_SCOPE = "openid profile email offline_access profile.read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Four ports of this machine."""

    web: int
    api: int
    server: int
    downstream: int

    @classmethod
    def from_base(cls, base: int) -> Self:
        return cls(web=base, api=base + 1, server=base + 2, downstream=base + 3)

    def url(self, part: str) -> str:
        return f"http://localhost:{getattr(self, part)}"


@dataclass(slots=True)
class Traffic:
    """Who called whom how often, for the picture."""

    calls: Counter[str] = field(default_factory=Counter)

    def count(self, arrow: str) -> None:
        self.calls[arrow] += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """One run of the demo: fresh secrets, and a folder for its databases."""

    addresses: Addresses
    folder: Path
    traffic: Traffic = field(default_factory=Traffic)
    environment: dict[str, str] = field(
        repr=False,
        default_factory=lambda: {
            name: secrets.token_urlsafe(32)
            for name in ("MASTER_KEY", "WEB_SECRET", "API_SECRET", "OTHER_SECRET")
        },
    )

    def settings(self) -> Settings:
        """The token server's `mintmark.toml`, as it would be read."""
        url = self.addresses.url
        web = url("web")
        return Settings(
            issuer=url("server"),
            insecure_allow_http_on_loopback=True,
            master_key=SecretSource(env="MASTER_KEY"),
            database=DatabaseSettings(path="server.sqlite3"),
            resources=[
                ResourceSettings(url("api"), ["photos.read", "photos.list", "profile.read"]),
                ResourceSettings(url("downstream"), ["mottos.read"]),
            ],
            scopes={
                "photos.read": "See the photo of the day",
                "photos.list": "Know which photos there are",
                "profile.read": "See your profile",
                "mottos.read": "See everybody's motto",
            },
            clients=[
                ClientSettings(
                    client_id="web",
                    name="Photo Shop",
                    grant_types=["authorization_code", "refresh_token", "client_credentials"],
                    scopes=[*USER_SCOPE.split(), "photos.read"],
                    secrets=[SecretSource(env="WEB_SECRET")],
                    redirect_uris=[f"{web}/callback"],
                    post_logout_redirect_uris=[f"{web}/"],
                ),
                ClientSettings(
                    client_id="api",
                    name="Profile API",
                    grant_types=["client_credentials"],
                    scopes=["mottos.read"],
                    secrets=[SecretSource(env="API_SECRET")],
                ),
                ClientSettings(
                    client_id="other",
                    name="Somebody Else",
                    grant_types=["client_credentials"],
                    scopes=["photos.read", "photos.list", "mottos.read"],
                    secrets=[SecretSource(env="OTHER_SECRET")],
                ),
            ],
            users=[
                UserSettings(
                    subject="3f6d2b9a-alice",
                    username=PERSON,
                    password=SecretSource(insecure_literal=PASSWORD),
                    name="Alice Liddell",
                    email="alice@wonderland.example",
                )
            ],
        )
