"""The attack list against our own gate: every answer exactly as listed, every honest twin taken."""

import pytest
from tests.api.attacked import TARGETS

from mintmark.api import validate
from mintmark.testing.plugin import Hostile
from mintmark.testing.target import Target

# What there is not behind a face, and nothing else may be left out.
NOT_THERE = {
    ("wsgi", "A14"),  # WebSockets
    ("wsgi", "G7"),  # connections that the guard could close by itself
    ("wsgi", "K8"),  # a start that could be refused
}


@pytest.fixture(params=sorted(TARGETS))
def attack_target(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Target:
    target = TARGETS[request.param]
    # To go beyond ten thousand remembered tokens would take most of this run's time.
    monkeypatch.setattr(validate, "MAX_REMEMBERED", target.cache_size)
    return target


@pytest.mark.hostile_tokens
def test_every_attack_is_answered_as_listed(
    hostile: Hostile, request: pytest.FixtureRequest
) -> None:
    face = next(name for name, target in TARGETS.items() if target is hostile.target)
    try:
        hostile.fire()
    except pytest.skip.Exception:
        if (face, hostile.attack.id) not in NOT_THERE:
            pytest.fail("it was not tried")
        raise
