"""`mintmark demo`."""

from typing import Annotated

import typer

from mintmark.cli.failure import ExitStatus, Failure
from mintmark.demo.check import walk
from mintmark.demo.command import show
from mintmark.demo.running import PortTaken

__all__ = ["demo"]


def demo(
    check: Annotated[bool, typer.Option(help="Walk through it without a window.")] = False,
    port_base: Annotated[int, typer.Option(help="The first of four ports.")] = 5014,
) -> None:
    """Show the whole picture on this machine: sign in, a photo, a profile, every token's life."""
    if check:
        if not walk():
            raise Failure("a step of the walk went wrong", ExitStatus.CHECK)
        return
    try:
        show(port_base)
    except PortTaken as taken:
        raise Failure(str(taken), ExitStatus.PORT, "choose others with --port-base") from None
