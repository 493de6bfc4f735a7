"""Walking through the demo over real HTTP, and saying at each step what held.

A step is a function whose first line says in words what has to be so; it raises `StepFailed` when
it is not. The test suite runs the same functions, each as a test.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from mintmark.demo.check import journeys, refusals, renewals, requests
from mintmark.demo.check.step import StepFailed, Walk
from mintmark.demo.parts import Demo
from mintmark.demo.running import free_addresses, in_background

__all__ = ["STEPS", "StepFailed", "Walk", "walk"]

STEPS: tuple[Callable[[Walk], None], ...] = (
    *journeys.STEPS,
    *renewals.STEPS,
    *refusals.STEPS,
    *requests.STEPS,
)


def walk() -> bool:
    """Walk through a demo of its own, a line a step; False at the first wrong answer."""
    with tempfile.TemporaryDirectory(prefix="mintmark-check-") as folder:
        demo = Demo(addresses=free_addresses(), folder=Path(folder))
        with in_background(demo) as running:
            steps = Walk(running)
            try:
                return _steps(steps)
            finally:
                steps.close()


def _steps(walk: Walk) -> bool:
    for step in STEPS:
        name = step.__name__.partition("_")[0].upper().replace("S", "S-", 1)
        words = (step.__doc__ or "").partition("\n")[0]
        try:
            step(walk)
        except StepFailed as failure:
            print(f"{name:5} {words}  WRONG: {failure}")
            return False
        print(f"{name:5} {words}  ok")
    return True
