"""Interleaved rounds, and ratios with their spread: absolute times belong to one machine only."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Timing", "interleaved", "ratio"]


@dataclass(frozen=True, slots=True)
class Timing:
    """Microseconds per call, one figure a round."""

    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    def __str__(self) -> str:
        return f"{self.median:8.2f} us ({min(self.rounds):.2f}-{max(self.rounds):.2f})"


def interleaved(
    cases: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 9,
    calls: int = 1000,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> dict[str, Timing]:
    """Every case once a round, so that whatever else the machine does falls on all alike.

    Args:
        clock: `time.process_time_ns` leaves out the time that others had the processor, where the
            cases only compute.
    """
    figures: dict[str, list[float]] = {name: [] for name in cases}
    for case in cases.values():
        for _ in range(max(calls // 10, 10)):
            case()
    for _ in range(rounds):
        for name, case in cases.items():
            begin = clock()
            for _ in range(calls):
                case()
            figures[name].append((clock() - begin) / calls / 1000)
    return {name: Timing(tuple(rounds)) for name, rounds in figures.items()}


def ratio(of: Timing, to: Timing) -> str:
    """The median of the rounds' own ratios, with the smallest and the largest."""
    ratios = [a / b for a, b in zip(of.rounds, to.rounds, strict=True)]
    return f"{statistics.median(ratios):6.2f} x ({min(ratios):.2f}-{max(ratios):.2f})"
