"""What an application says in its log and keeps in its memory while it is attacked."""

import gc
import logging
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Heard", "growth", "hearing", "measuring", "silence"]


class Heard(logging.Handler):
    """Everything that is logged, as a log file would show it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def hearing() -> Iterator[Heard]:
    heard, root = Heard(), logging.getLogger()
    root.addHandler(heard)
    try:
        yield heard
    finally:
        root.removeHandler(heard)


@contextmanager
def silence() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@contextmanager
def measuring(measured: bool) -> Iterator[None]:
    """Memory is traced from the start, or what is freed would not be known to have been held."""
    if measured:
        tracemalloc.start()
    try:
        yield
    finally:
        if measured:
            tracemalloc.stop()


@contextmanager
def growth() -> Iterator[list[int]]:
    """Octets that are held at the end and were not at the start; zero where nobody measures."""
    found = [0]
    before = _held()
    yield found
    found[0] = _held() - before


def _held() -> int:
    if not tracemalloc.is_tracing():
        return 0
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
