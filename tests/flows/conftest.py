"""A running demo, with everything in it real."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mintmark.demo.check import Walk
from mintmark.demo.parts import Demo
from mintmark.demo.running import free_addresses, in_background


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    """A demo of this test alone, over real HTTP on loopback."""
    demo = Demo(addresses=free_addresses(), folder=tmp_path)
    with in_background(demo) as running:
        made = Walk(running)
        yield made
        made.close()
