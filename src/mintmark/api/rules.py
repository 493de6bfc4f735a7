"""Which policy belongs to which path."""

from collections.abc import Mapping
from typing import final

from mintmark.api.policy import Policy

__all__ = ["Rules"]


@final
class Rules:
    """Policies by path, the longest match first. A path without one has none."""

    def __init__(self, rules: Mapping[str, Policy]) -> None:
        self._exact: dict[str, Policy] = {}
        self._below: list[tuple[str, Policy]] = []
        for path, policy in rules.items():
            if not path.startswith("/") or "*" in path.removesuffix("/**"):
                raise ValueError(f"{path}: a rule is /a/path or /a/path/**")
            if path.endswith("/**"):
                self._below.append((path.removesuffix("/**"), policy))
            else:
                self._exact[path] = policy
        self._below.sort(key=lambda rule: len(rule[0]), reverse=True)

    def policy_for(self, path: str) -> Policy | None:
        """None: nobody said anything about this path, so nobody gets in."""
        policy = self._exact.get(path)
        if policy is not None:
            return policy
        for prefix, below in self._below:
            # `/orders/**` is not `/ordersx`, and a dot segment is nobody's business to resolve.
            if path == prefix or path.startswith(prefix + "/"):
                return below if "/../" not in path + "/" and "/./" not in path + "/" else None
        return None
