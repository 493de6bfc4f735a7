"""What a view says of itself, where a face finds it before the view runs."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from mintmark.api.policy import PUBLIC, Policy

__all__ = ["mark", "policies_for", "policies_of", "require_callers_policy"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK: Final = "__mintmark_policies__"


def mark(view: F, policy: Policy) -> F:
    """The view, with this policy before those that it has already.

    `functools.wraps` hands the mark on to a decorator above. One that hides it hides the policy as
    well, and such a view lets nobody in.
    """
    setattr(view, _MARK, (policy, *policies_of(view)))
    return view


def policies_of(view: object) -> tuple[Policy, ...]:
    """All that was said on the way to this view."""
    found: tuple[Policy, ...] = getattr(view, _MARK, ())
    return found


def require_callers_policy(policy: Policy) -> Policy:
    """A policy that has a caller to judge. Raises `ValueError`."""
    if policy is PUBLIC:
        raise ValueError("a public route has no caller: name its path in the rules instead")
    return policy


def policies_for(view: object, method: str) -> tuple[Policy, ...]:
    """What a view says, and, where it is made of a class, what its method says."""
    of_class = getattr(view, "view_class", None)
    handler = getattr(of_class, method.lower(), None)
    # As Flask and Django find it: a HEAD without a method of its own is a GET.
    if handler is None and method == "HEAD":
        handler = getattr(of_class, "get", None)
    return (*policies_of(view), *policies_of(handler))
