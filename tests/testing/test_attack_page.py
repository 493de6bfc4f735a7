"""The page that counts the attack list: all for our own gate, and no recipe against anybody else."""

import re
from collections import Counter

import pytest
from bench.attack_list import GROUPS, PAGE, Column, page
from bench.attacked_peers import PEERS, Peer
from tests.api.test_attack_list import NOT_THERE

from mintmark.testing.attacks import ATTACKS
from mintmark.testing.playing import play, tally

OURS = {"Gate, ASGI": "asgi", "Gate, FastAPI": "fastapi", "Gate, WSGI": "wsgi"}
AN_ENTRY = re.compile(r"\b[A-N]\d{1,2}\b")
INSTALLED = [peer for peer in PEERS if peer.version]


def rows(text: str) -> list[dict[str, str]]:
    lines = [line.strip("| ") for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in f"{line} ".split("| ")] for line in lines]
    # The first column has no name, and the last row no letter.
    names = ["group", *cells[0]]
    return [dict(zip(names, row, strict=True)) for row in cells[2:-1]]


@pytest.mark.parametrize("title", OURS)
def test_our_own_gate_ends_every_attack_well(title: str) -> None:
    counted = {row["group"]: row[title] for row in rows(PAGE.read_text())}
    there = Counter(
        id_[0] for id_ in ATTACKS if (OURS[title], id_) not in NOT_THERE
    )  # which test_attack_list plays, one by one

    assert counted == {group: f"{there[group]} of {there[group]}" for group in GROUPS}


def test_the_page_names_no_entry_of_the_list() -> None:
    text = PAGE.read_text()

    assert len(rows(text)) == len(GROUPS)
    assert [id_ for id_ in AN_ENTRY.findall(text) if id_ in ATTACKS] == []


def test_nothing_but_numbers_can_get_onto_the_page() -> None:
    """Also when it is made anew: an entry's name or title never reaches what is written."""
    counts = {group: Counter(right=1, wrong=2) for group in GROUPS}
    text = page([Column("a peer", counts)], PEERS)

    assert "| A | the request's shape | 15 | 1 of 3 |" in text
    assert [id_ for id_ in AN_ENTRY.findall(text) if id_ in ATTACKS] == []
    assert [one.title for one in ATTACKS.values() if one.title in text] == []


def test_what_could_not_be_tried_is_no_failure() -> None:
    column = Column("a peer", {"J": Counter({"not applicable": 28})})

    assert (column.cell("J"), column.total) == ("not offered", "0 of 0")


def test_every_link_of_the_page_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE.read_text()):
        assert (PAGE.parent / target).exists()
    for source in re.findall(r"`((?:tests|bench)/[^`]+)`", PAGE.read_text()):
        assert (PAGE.parents[1] / source).exists()


@pytest.mark.parametrize("peer", INSTALLED, ids=lambda peer: peer.name)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Authlib's own, of how it reads keys
class TestAPeer:
    """What takes nothing, or everything, would be counted as well; it would say nothing."""

    def test_it_is_set_up_so_that_it_takes_honest_tokens_and_refuses_others(
        self, peer: Peer
    ) -> None:
        attacks = [ATTACKS[id_] for id_ in ("A1", "A4", "C1", "E8", "F10", "H4")]

        assert sum(tally(peer.target, attacks).values(), Counter()) == Counter(right=len(attacks))

    def test_what_is_left_out_for_it_is_on_the_list(self, peer: Peer) -> None:
        assert peer.beyond < set(ATTACKS)

    def test_any_refusal_will_do(self, peer: Peer) -> None:
        assert play(ATTACKS["A2"], peer.target) == []
