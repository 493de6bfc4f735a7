"""What is attacked: an application somebody builds, in a world made for one attack."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, Final, final
from urllib.parse import urlsplit

from mintmark.clock import Clock, SystemClock
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.decryption_keys import DecryptionKeys
from mintmark.jose.keys import SigningKey
from mintmark.testing.attacks.model import Route, Setting
from mintmark.testing.authority import FakeAuthority
from mintmark.testing.clock import FrozenClock
from mintmark.testing.mint import Mint
from mintmark.testing.sealing import reader_keys

__all__ = ["App", "Target", "World"]


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An application that was built to be attacked, and where its routes are."""

    app: Any = field(repr=False)
    routes: Mapping[Route, str]  # at least `Route.ANY`
    wsgi: bool = False
    close: Callable[[], object] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """How to build what is attacked. A test suite gives one in the fixture `attack_target`.

    Args:
        build: makes the application for a `World`: it must trust `world.issuer` (address and
            `policy` are there) for `world.mint.audience`. None where there is no such setting.
        audience: the API's own identifier.
        scopes: what an honest token may do, separated by blanks.
        moves_clock: whether the application goes by `world.clock`; otherwise the machine's own
            is used, and whatever needs time to pass is left out.
        lenient: for somebody else's application: any refusal will do, as long as it is one.
        skew: what it forgives a clock.
        cache_size: how many tokens it remembers.
        proofs_per_key: how many proofs of one key it takes within their time.
        allowed: further hosts it may connect to, as `host:port`.
    """

    build: Callable[["World"], App | None] = field(repr=False)
    audience: str = "https://api.example"
    scopes: str = "orders.read"
    moves_clock: bool = False
    lenient: bool = False
    skew: timedelta = timedelta(seconds=30)
    cache_size: int = 10_000
    proofs_per_key: int = 1_000
    allowed: frozenset[str] = frozenset()


# Making a key for every world would take longer than the attacks do.
_KEY: Final = SigningKey.generate(Algorithm.ES256)
_OTHERS: Final = [SigningKey.generate(Algorithm.ES256) for _ in range(2)]


@final
class World:
    """Issuers, a clock and a mint, made afresh and used by nobody else."""

    def __init__(self, target: Target, setting: Setting, stack: ExitStack | None) -> None:
        self.setting = setting
        self.clock: Clock = FrozenClock() if target.moves_clock else SystemClock()
        self._stack = stack
        self._keys = iter(_OTHERS)
        self._issuers: list[FakeAuthority] = []
        self.issuer = self._serve(_KEY)
        self.mint = Mint(
            self.issuer,
            audience=target.audience,
            scopes=target.scopes,
            skew=target.skew,
            cache_size=target.cache_size,
            proofs_per_key=target.proofs_per_key,
            others=lambda: self._serve(next(self._keys)),
        )
        self._allowed = target.allowed

    @classmethod
    @contextmanager
    def create(cls, target: Target, setting: Setting = Setting.PLAIN) -> Iterator["World"]:
        with ExitStack() as stack:
            yield cls(target, setting, stack)

    @classmethod
    def imagined(cls, target: Target) -> "World":
        """One that serves nothing, for looking at what an attack would send."""
        return cls(target, Setting.PLAIN, None)

    @cached_property
    def decryption_keys(self) -> DecryptionKeys:
        """What the API decrypts with in `Setting.ENCRYPTED`; one of them ends in an hour."""
        return reader_keys().until(self.clock.timestamp() + 3600)

    @property
    def partner(self) -> FakeAuthority:
        """The second issuer: trusted in `Setting.TWO_ISSUERS`, and the one of the host
        `partner.example` in `Setting.TENANTS`."""
        return self.mint.partner

    def allows(self, host: str, port: int) -> bool:
        """Whether an application in this world may connect there."""
        if f"{host}:{port}" in self._allowed:
            return True
        trusted = {urlsplit(self.issuer.issuer).netloc}
        if self.setting in {Setting.TWO_ISSUERS, Setting.TENANTS}:
            trusted.add(urlsplit(self.partner.issuer).netloc)
        return f"{host}:{port}" in trusted

    def advance(self, by: timedelta) -> None:
        if not isinstance(self.clock, FrozenClock):
            raise TypeError("this target goes by the machine's clock")
        self.clock.advance(by)

    def _serve(self, key: SigningKey) -> FakeAuthority:
        authority = FakeAuthority(clock=self.clock, algorithm=key.algorithm)
        authority.key = key
        authority.published = [key.public]
        if self._stack is None:
            authority.issuer = f"http://127.0.0.1:{len(self._issuers) + 1}"
        else:
            self._stack.enter_context(authority.serve())
        self._issuers.append(authority)
        return authority
