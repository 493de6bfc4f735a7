"""A pytest plugin: tokens for tests, and hostile requests for anybody's API.

    # conftest.py
    pytest_plugins = ["mintmark.testing.plugin"]

    @pytest.fixture
    def attack_target() -> Target:
        return Target(build=..., audience="https://orders.example")

    # test_orders.py
    def test_alice_may_read(mint: Mint) -> None: ...  # mint.delegated("alice"), and so on

    @pytest.mark.hostile_tokens
    def test_survives(hostile: Hostile) -> None:
        hostile.fire()

`mint` makes tokens of an issuer that serves on loopback during the test, for the API that the
fixture `mint_audience` names. The marker takes `groups` ("ABC") and `without` (("A9",)): one test for
each attack that is left.

For a client's tests there are `fake_authority`, a token server on loopback, and `clock`, which it goes by.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from mintmark.testing.attacks import ATTACKS, Attack
from mintmark.testing.authority import FakeAuthority
from mintmark.testing.clock import FrozenClock
from mintmark.testing.mint import Mint
from mintmark.testing.playing import NotApplicable, play
from mintmark.testing.target import Target, World

__all__ = ["Hostile", "clock", "fake_authority", "hostile", "mint", "mint_audience",
    "pytest_configure", "pytest_generate_tests"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hostile:
    """One attack, aimed."""

    attack: Attack
    target: Target = field(repr=False)

    def fire(self) -> None:
        """Fails the test with everything that was found; skips what cannot be tried here."""
        __tracebackhide__ = True
        try:
            findings = play(self.attack, self.target)
        except NotApplicable as reason:
            pytest.skip(str(reason))
        if findings:
            lines = [f"{self.attack.id} {self.attack.title}", *(str(one) for one in findings)]
            pytest.fail("\n".join(lines), pytrace=False)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "hostile_tokens(groups, without): one test for each attack of the list, in `hostile`",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("hostile_tokens")
    if marker is None or "hostile" not in metafunc.fixturenames:
        return
    groups = marker.kwargs.get("groups", "ABCDEFGHIJKLMN")
    without = frozenset(marker.kwargs.get("without", ()))
    unknown = sorted(without - ATTACKS.keys())
    if unknown:
        raise pytest.UsageError(f"hostile_tokens: there is no attack {', '.join(unknown)}")
    chosen = [id_ for id_, one in ATTACKS.items() if one.group in groups and id_ not in without]
    metafunc.parametrize("hostile", chosen, indirect=True)


@pytest.fixture
def hostile(request: pytest.FixtureRequest, attack_target: Target) -> Hostile:
    """The attack of this test, aimed at `attack_target`."""
    return Hostile(ATTACKS[request.param], attack_target)


@pytest.fixture
def clock() -> FrozenClock:
    """Stands still until `clock.advance("55m")`."""
    return FrozenClock()


@pytest.fixture
def fake_authority(clock: FrozenClock) -> Iterator[FakeAuthority]:
    """A token server of this test alone, on loopback, whose time is `clock`."""
    with FakeAuthority(clock=clock).serve() as serving:
        yield serving


@pytest.fixture
def mint_audience() -> str:
    """The identifier of the API that `mint` makes tokens for; a test suite gives its own."""
    return "https://api.example"


@pytest.fixture
def mint(mint_audience: str) -> Iterator[Mint]:
    """Tokens of `mint.issuer`, which serves its keys until the test is over."""
    with World.create(Target(build=lambda _: None, audience=mint_audience)) as world:
        yield world.mint
