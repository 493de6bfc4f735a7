"""What happened, said once, in a form that cannot carry a secret.

An event is a frozen dataclass with a stable `name`, a `level` and the fields that are all there
is to log. Each role keeps its own in its `events.py`; `docs/events.md` is made from them.
"""

import dataclasses
import logging
from typing import Any, ClassVar, Protocol

__all__ = ["Event", "Events", "LogEvents"]


class Event(Protocol):
    """Something that happened, named in the past tense."""

    name: ClassVar[str]
    level: ClassVar[int]
    __dataclass_fields__: ClassVar[dict[str, Any]]


class Events(Protocol):
    """Takes events as they happen. It never raises and never waits."""

    def emit(self, event: Event) -> None: ...


class LogEvents:
    """Writes events to the standard `logging` tree, under `mintmark`."""

    __slots__ = ("_logger",)

    def __init__(self) -> None:
        self._logger = logging.getLogger("mintmark")

    def emit(self, event: Event) -> None:
        if not self._logger.isEnabledFor(event.level):
            return
        fields = {f.name: getattr(event, f.name) for f in dataclasses.fields(event)}
        text = " ".join(f"{name}={_printable(value)}" for name, value in fields.items())
        self._logger.log(event.level, "%s %s", event.name, text, extra={"event": event.name})


def _printable(value: object) -> str:
    # A name or address from outside must not start a line of its own in somebody's log.
    text = str(value)[:300]
    return text if text.isprintable() and " " not in text else ascii(text)
