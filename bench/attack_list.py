"""The attack list against our own gate and against other people's guards, counted by group.

python -m bench.attack_list [--write]

fastmcp is not among our dependencies. To have it in the table, run this in an environment that
holds it as well: `uv venv .peers`, then `uv pip install --python .peers/bin/python -e
'.[all]' fastmcp pyjwt authlib pytest-asyncio`, then `.peers/bin/python -m bench.attack_list`.
"""

import argparse
import logging
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from unittest.mock import patch

from tests.api.attacked import TARGETS

from bench.attacked_peers import PEERS, Peer
from mintmark.api import validate
from mintmark.testing.attacks import ATTACKS
from mintmark.testing.playing import tally

__all__ = ["GROUPS", "PAGE", "Column", "main", "page"]

PAGE: Final = Path(__file__).parent.parent / "docs" / "attack-list.md"

GROUPS: Final = {
    "A": "the request's shape",
    "B": "the token's serialization",
    "C": "header members and algorithms",
    "D": "key sets and key endpoints",
    "E": "signatures",
    "F": "claims",
    "G": "times",
    "H": "tokens of another kind or issuer",
    "I": "encrypted tokens",
    "J": "DPoP",
    "K": "client certificates",
    "L": "opaque tokens and introspection",
    "M": "what a token may do",
    "N": "floods, hangs and leaks",
}

OURS: Final = {"asgi": "Gate, ASGI", "fastapi": "Gate, FastAPI", "wsgi": "Gate, WSGI"}

HEAD: Final = """\
# The attack list, counted

`mintmark.testing` has {number} kinds of hostile request as data, in groups from A to N, with the one right answer
beside each and an honest request that must be let in right after it. This page says how many of them ended well: first
with our own `Gate`, then with other ways to protect an API in Python. `python -m bench.attack_list --write` makes it
anew. To throw the list at an API of yours, see [the guide](guides/test-an-api.md).

{table}

"15 of 15" says that 15 kinds could be tried and all of them ended well. "Not offered" says that the part of a library that was
set up here does not set out to do what the group is about. That is no fault, and another part of it may do it.
"""

FOOT: Final = """\
## How it was measured

For others, any refusal will do: 400, 401 or 403, within a bounded time. A kind did not end well if one of its requests was
let in, was answered with a 500, took too long or made the API connect to a host out of a token, or if the honest request
beside it was refused. Our own gate has to give the listed answer exactly, down to the challenge.

Left out for a guard, and not counted, is whatever it does not claim to do (bound tokens, for example, or more than one
issuer), whatever its user has to write, and the kinds that an honest token is refused in because a guard is
stricter than our list. What needs time to pass can be tried only on a clock that can be set, which is ours alone. Over
WSGI there are no WebSockets, no connections that the guard itself could close, and no start that it could refuse.

**Read the figures with care.** The list is ours, and so are its answers. We wrote our gate for it; nobody else did. Many of
its kinds are about the form of a token whose signature is good, and there the RFCs often leave a choice. A lower figure
does not mean that somebody gets in who should not. All of these are respected libraries, used here as their guides say, and most of
them can be set up more strictly than that.

## How each was set up

- **Gate** {ours}: in every way that the list asks for; the source is `tests/api/attacked.py`.
{setups}
The source is `bench/attacked_peers.py`. If you maintain one of these and we hold it wrong, please tell us.
"""


@dataclass(frozen=True, slots=True)
class Column:
    """What came out for one guard, by group."""

    title: str
    counts: Mapping[str, Counter[str]]

    def cell(self, group: str) -> str:
        right, wrong = (self.counts.get(group, Counter())[one] for one in ("right", "wrong"))
        return f"{right} of {right + wrong}" if right + wrong else "not offered"

    @property
    def total(self) -> str:
        right, wrong = (sum(c[one] for c in self.counts.values()) for one in ("right", "wrong"))
        return f"{right} of {right + wrong}"


def table(columns: Iterable[Column]) -> str:
    columns = list(columns)
    lines = [["", "about", "kinds", *(column.title for column in columns)]]
    lines.append(["---", "---", *["--:"] * (len(columns) + 1)])
    for group, about in GROUPS.items():
        size = sum(attack.group == group for attack in ATTACKS.values())
        lines.append([group, about, str(size), *(column.cell(group) for column in columns)])
    lines.append(["", "all", str(len(ATTACKS)), *(column.total for column in columns)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(columns: Iterable[Column], peers: Iterable[Peer]) -> str:
    setups = "".join(f"- **{title(peer)}**: {setup(peer)}\n" for peer in peers)
    head = HEAD.format(number=len(ATTACKS), table=table(columns))
    return f"{head}\n{FOOT.format(setups=setups, ours='(ASGI, FastAPI, WSGI)')}"


def title(peer: Peer) -> str:
    return f"{peer.name} {peer.version}" if peer.version else peer.name


def setup(peer: Peer) -> str:
    return peer.setup if peer.version else "not installed where this page was made."


def ours(name: str) -> Column:
    target = TARGETS[name]
    # To go beyond ten thousand remembered tokens would take most of the time.
    with patch.object(validate, "MAX_REMEMBERED", target.cache_size):
        return Column(OURS[name], tally(target, ATTACKS.values()))


def theirs(peer: Peer) -> Column:
    chosen = [attack for id_, attack in ATTACKS.items() if id_ not in peer.beyond]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a library says of weak keys is not for us
        return Column(title(peer), tally(peer.target, chosen))


def columns() -> Iterable[Column]:
    here = [peer for peer in PEERS if peer.version]
    runs: list[Callable[[], Column]] = [partial(ours, name) for name in OURS]
    runs += [partial(theirs, peer) for peer in here]
    for run in runs:
        column = run()
        print(f"{column.title}: {column.total}", file=sys.stderr)
        yield column


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.attack_list", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name} anew")
    chosen = parser.parse_args()
    # Otherwise every world that is made would say on the screen that it is not for production.
    logging.getLogger().addHandler(logging.NullHandler())
    for peer in PEERS:
        if peer.version is None:
            print(f"{peer.name} is not installed here and is left out", file=sys.stderr)
    found = list(columns())
    print(table(found))
    if chosen.write:
        PAGE.write_text(page(found, PEERS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
