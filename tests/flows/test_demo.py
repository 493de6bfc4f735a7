"""Each step of `mintmark demo --check` by itself, in any order, on a demo of its own."""

from collections.abc import Callable

import pytest

from mintmark.demo.check import STEPS, StepFailed, Walk

PROMISED = {
    "s01", "s02", "s04", "s05", "s08", "s09", "s13", "s16", "s17", "s18", "s19", "s20", "s21",
    "s22", "s23", "s24", "s26", "s27", "s48",
}  # fmt: skip


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_step(walk: Walk, step: Callable[[Walk], None]) -> None:
    """S-01, S-02, S-04, S-05, S-08, S-09, S-13, S-16 to S-24, S-26, S-27, S-48."""
    step(walk)


def test_every_promised_scenario_is_a_step() -> None:
    assert {step.__name__.partition("_")[0] for step in STEPS} == PROMISED


def test_a_step_that_goes_wrong_says_so(walk: Walk) -> None:
    """A walk that could not fail would prove nothing: here the API is told to refuse everybody."""
    for entry in walk.running.api_gate.admission.validator.issuers._listed.values():
        entry.skew = -10_000.0
    wrong = []
    for step in STEPS:
        if step.__name__.partition("_")[0] in {"s01", "s05", "s26"}:
            try:
                step(walk)
            except StepFailed:
                wrong.append(step.__name__)
    assert wrong
