"""Project Wycheproof's JOSE signature and key files, every case of both.

We cannot express HMAC: an `oct` key is refused as it is read, so for those groups a refusal is
our right answer to the valid cases too.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mintmark.jose.algorithms import ALL_ALGORITHMS
from mintmark.jose.errors import JoseError
from mintmark.jose.jws import parse
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import VerificationKey

# Labelled otherwise, and why we answer so.
REFUSED = {
    372: "a segment holds a ?", 373: "a segment holds a ?",
    346: "the key's alg is another", 347: "the key's alg is another",
    350: "the key's alg is another", 351: "the key's alg is another",
}  # fmt: skip
IDENTICAL_TO_A_VALID_CASE = {367, 370}
REFUSED_KEY_SETS = {1: "mixed with HMAC", 4: "one kid twice", 7: "ROCA", 8: "RSA of 1024 bits"}


class Answered(NamedTuple):
    """One case, what we must say to it, and what we say."""

    number: int
    comment: str
    expected: object
    found: object

    @property
    def wrong(self) -> bool:
        return self.expected != self.found

    @property
    def accepted(self) -> bool:
        return self.found not in {False, None}


def groups(vectors: Path, name: str) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = json.loads((vectors / "wycheproof" / name).read_text())[
        "testGroups"
    ]
    return groups


def accepts(jws: str, keys: KeySet) -> bool:
    """Whether it verifies; whatever is raised must be ours."""
    try:
        parse(jws).require_signature(keys, ALL_ALGORITHMS)
    except JoseError:
        return False
    return True


def signature_answers(vectors: Path) -> Iterator[Answered]:
    for group in groups(vectors, "json_web_signature_test.json"):
        members = group.get("public") or group["private"]
        try:
            keys = KeySet.of(VerificationKey.from_jwk(members))
        except JoseError:
            keys = KeySet([])
        for case in group["tests"]:
            number = case["tcId"]
            valid = case["result"] == "valid" or number in IDENTICAL_TO_A_VALID_CASE
            ours = valid and members["kty"] != "oct" and number not in REFUSED
            jws = case["jws"] if isinstance(case["jws"], str) else json.dumps(case["jws"])
            yield Answered(number, case["comment"], ours, accepts(jws, keys))


def key_answers(vectors: Path) -> Iterator[Answered]:
    for group in groups(vectors, "json_web_key_test.json"):
        published = group.get("public") or group["private"]
        symmetric = any(key.get("kty") == "oct" for key in published["keys"])
        keys = KeySet.parse(json.dumps(published).encode())
        for case in group["tests"]:
            number = case["tcId"]
            ours = case["result"] == "valid" and not symmetric and number not in REFUSED_KEY_SETS
            yield Answered(number, case["comment"], ours, accepts(case["jws"], keys))


def test_every_signature_case_is_answered_as_it_must_be(vectors: Path) -> None:
    """401 cases; two of those that are labelled invalid are byte-identical to a valid one."""
    answers = list(signature_answers(vectors))

    assert [answer for answer in answers if answer.wrong] == []
    assert len(answers) == 401
    assert sum(answer.accepted for answer in answers) == 32


def test_every_key_case_is_answered_as_it_must_be(vectors: Path) -> None:
    """26 cases: a key set is read, and then a signature checked with what is left of it."""
    answers = list(key_answers(vectors))

    assert [answer for answer in answers if answer.wrong] == []
    assert len(answers) == 26
