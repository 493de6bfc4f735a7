"""Which policy belongs to which path, and what is known of all of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import final

from mintmark.api.policy import PUBLIC, Policy

__all__ = ["Routes", "Rules"]


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
        self._exact |= dict(self._twins())

    def _twins(self) -> Iterator[tuple[str, Policy]]:
        # Some frameworks take `/admin/` for `/admin`, if they are asked to. A wider rule that it
        # falls under must not open there what this one closes, so both count.
        for path, policy in self._exact.items():
            twin = path.rstrip("/") if path.endswith("/") else f"{path}/"
            wider = self.policy_for(twin) if twin and twin not in self._exact else None
            if wider is not None and policy is not PUBLIC:
                yield twin, policy if wider is PUBLIC else wider & policy

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


@final
class Routes:
    """What one API has said about its routes: for the report, and for what it publishes."""

    def __init__(self) -> None:
        self._report: list[tuple[str, str]] = []
        self._policies: list[Callable[[], Iterable[Policy]]] = []

    def ruled(self, rules: Mapping[str, Policy]) -> Rules:
        """These rules, ready for use, and known from now on."""
        compiled = Rules(rules)
        for path, policy in rules.items():
            self.add(path, repr(policy))
        policies = tuple(rules.values())
        self.learn(lambda: policies)
        return compiled

    def add(self, route: str, policy: str) -> None:
        """A line of the report."""
        self._report.append((route, policy))

    def report(self) -> str:
        """Every route and its policy, one a line; public ones say so."""
        return "\n".join(f"{route:32} {policy}" for route, policy in sorted(self._report))

    def learn(self, policies: Callable[[], Iterable[Policy]]) -> None:
        """More policies that this API goes by; asked again whenever it says what it wants."""
        self._policies.append(policies)

    def policies(self) -> tuple[Policy, ...]:
        """All that are known now."""
        return tuple(one for source in self._policies for one in source())
