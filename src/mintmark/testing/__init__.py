"""For everybody's test suite: a clock one sets, a token server that misbehaves on request, tokens of
every kind, hostile requests by the hundred, a browser without a window.

The fixtures are in `mintmark.testing.plugin`, which needs pytest.

Nothing here is meant for production, and nothing in the layers below knows of it.
"""

from mintmark.testing.attacks.model import Route, Setting
from mintmark.testing.authority import FakeAuthority
from mintmark.testing.browser import HeadlessBrowser, Page
from mintmark.testing.clock import FrozenClock
from mintmark.testing.faults import Fault
from mintmark.testing.mint import Mint, Token
from mintmark.testing.proofs import ProofKey
from mintmark.testing.target import App, Target, World

__all__ = ["App", "FakeAuthority", "Fault", "FrozenClock", "HeadlessBrowser", "Mint", "Page", "ProofKey",
    "Route", "Setting", "Target", "Token", "World"]  # fmt: skip
