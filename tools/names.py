"""The public names: what users may rely on, with signatures."""

import importlib
import inspect

__all__ = ["page"]

PACKAGES = (
    "mintmark",
    "mintmark.secret",
    "mintmark.clock",
    "mintmark.events",
    "mintmark.fetch",
    "mintmark.client",
    "mintmark.api",
    "mintmark.webapp",
    "mintmark.testing",
    "mintmark.app",
    "mintmark.server.config",
    "mintmark.server.stores",
)


def page() -> str:
    """`docs/public-names.txt`."""
    lines = ["# Made by `make spec`. A change here is a change for users.", ""]
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in sorted(module.__all__):
            lines.extend(_described(f"{package}.{name}", getattr(module, name)))
    return "\n".join(lines) + "\n"


def _described(path: str, value: object) -> list[str]:
    if inspect.isclass(value):
        members = [
            f"  .{name}{_signature(member)}"
            for name, member in sorted(vars(value).items())
            if not name.startswith("_") and inspect.isfunction(member)
        ]
        return [f"{path}{_signature(value)}", *members]
    if inspect.isfunction(value):
        return [f"{path}{_signature(value)}"]
    return [path]


def _signature(value: object) -> str:
    try:
        parameters = inspect.signature(value).parameters.values()  # type: ignore[arg-type]  # -- the except answers for what is not callable
    except (TypeError, ValueError):
        return ""
    return (
        "("
        + ", ".join(str(p.replace(annotation=p.empty, default=_default(p))) for p in parameters)
        + ")"
    )


def _default(parameter: inspect.Parameter) -> object:
    # That there is a default is a promise; its address in memory is not.
    return parameter.empty if parameter.default is parameter.empty else ...
