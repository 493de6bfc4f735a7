"""Every event that is logged, from the `events` modules."""

import dataclasses
import importlib
import inspect
import logging

__all__ = ["classes", "page"]

MODULES = (
    "mintmark.server.events",
    "mintmark.client.events",
    "mintmark.api.events",
    "mintmark.webapp.events",
)


def classes() -> list[type]:
    """All event types, by module and name."""
    return [
        getattr(module, name)
        for module in map(importlib.import_module, MODULES)
        for name in sorted(module.__all__)
    ]


def page() -> str:
    """`docs/events.md`."""
    text = "# Events\n\nMade by `make spec`. Everything is logged below the logger `mintmark`.\n"
    for module in MODULES:
        text += f"\n## `{module}`\n"
        for event in classes():
            if event.__module__ == module:
                fields = ", ".join(f"`{f.name}`" for f in dataclasses.fields(event))
                level = logging.getLevelName(event.level)  # type: ignore[attr-defined]  # -- every event has one
                words = " ".join((inspect.getdoc(event) or "").split())
                text += f"\n**`{event.name}`** ({level.lower()}; {fields}): {words}\n"  # type: ignore[attr-defined]  # -- every event has one
    return text
