"""`mintmark demo`: the picture to look at, until Ctrl-C."""

import asyncio
import signal
import tempfile
from pathlib import Path

from mintmark.demo.parts import PASSWORD, PERSON, Addresses, Demo
from mintmark.demo.running import run

__all__ = ["show"]


def show(base: int) -> None:
    """Run the demo on four ports from `base` on. Raises `PortTaken`."""
    with tempfile.TemporaryDirectory(prefix="mintmark-demo-") as folder:
        demo = Demo(addresses=Addresses.from_base(base), folder=Path(folder))
        asyncio.run(_until_interrupted(demo))
    print("\nStopped. Everything it kept is gone.")


async def _until_interrupted(demo: Demo) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    started = loop.create_future()
    started.add_done_callback(lambda _: _announce(demo))
    await run(demo, started, stop)


def _announce(demo: Demo) -> None:
    print(
        f"\n  Open     {demo.addresses.url('web')}"
        f"\n  Sign in  {PERSON}"
        f"\n  Password {PASSWORD}"
        "\n\n  Ctrl-C stops it.\n",
        flush=True,
    )
