"""Events as they happened, to be looked at."""

from mintmark.events import Event

__all__ = ["Recorded"]


class Recorded:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def names(self) -> list[str]:
        return [event.name for event in self.events]
