"""The attack list is complete, and finds what it is there to find.

Its groups go by RFC 7515 §2, §7.1; RFC 7519 §4.1; RFC 7797 §5; RFC 8032 §5.1.7; and RFC 8725 §3, §3.8.
"""

from collections import Counter
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mintmark.testing.attacks import ATTACKS, Attack
from mintmark.testing.attacks.model import ACCEPTED, PASSED, Route, Setting
from mintmark.testing.attacks.raw_rsa import RawRsa, emsa_pkcs1, exponent_one, roca, short_key
from mintmark.testing.judging import differences
from mintmark.testing.playing import NotApplicable, play, tally
from mintmark.testing.target import App, Target, World

SIZES = {"A": 15, "B": 15, "C": 19, "D": 20, "E": 10, "F": 21, "G": 8, "H": 10, "I": 15, "J": 28,
         "K": 8, "L": 10, "M": 10, "N": 8}  # fmt: skip
IDS = [f"{group}{number}" for group, size in SIZES.items() for number in range(1, size + 1)]
ROUTES = {route: f"/{route}" for route in Route}


def imagined() -> World:
    return World.imagined(Target(build=lambda _: None, moves_clock=True))


class TestTheList:
    def test_it_has_exactly_the_197_entries_in_their_order(self) -> None:
        assert list(ATTACKS) == IDS
        assert len(IDS) == 197

    def test_every_entry_has_a_title_of_its_own(self) -> None:
        titles = Counter(attack.title for attack in ATTACKS.values())

        assert [title for title, times in titles.items() if times > 1] == []

    @pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
    def test_variants_have_names_of_their_own_and_are_the_same_each_time(
        self, attack: Attack
    ) -> None:
        mint = imagined().mint
        names = [variant.name for variant in attack.variants(mint)]

        assert names
        assert len(set(names)) == len(names)
        assert [variant.name for variant in attack.variants(mint)] == names

    @pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
    def test_nothing_of_a_token_is_in_a_repr(self, attack: Attack) -> None:
        for variant in attack.variants(imagined().mint):
            assert "eyJ" not in repr(variant)


async def _answer(send: Any, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


def api(status: int, *headers: tuple[bytes, bytes]) -> Target:
    """An API that says the same to everybody."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            kind = {"type": "websocket.accept"} if status == 200 else {"type": "websocket.close",
                                                                       "code": 1011}  # fmt: skip
            await send(kind)
        elif scope["type"] == "http":
            await _answer(send, status, list(headers))

    return Target(build=lambda _: App(app=app, routes=ROUTES), moves_clock=True, cache_size=20)


NEVER_REFUSED = {id_ for id_, one in ATTACKS.items() if one.expected in (ACCEPTED, PASSED)}
SLOW = {"D2", "D14", "L4", "L8", "N5", "N8", "J23", "L7"}


class TestItFinds:
    """An attack that no API fails would prove nothing of those that pass it."""

    @pytest.mark.parametrize("id_", [i for i in IDS if i not in NEVER_REFUSED | SLOW])
    def test_an_api_that_takes_everything(self, id_: str) -> None:
        findings = play(ATTACKS[id_], api(200))

        assert findings
        assert any("honest twin" not in finding.variant for finding in findings)

    @pytest.mark.parametrize("id_", [i for i in IDS if i not in SLOW | {"K8"}])
    def test_an_api_that_refuses_everything(self, id_: str) -> None:
        challenge = (b"www-authenticate", b'Bearer error="invalid_token"')
        problem = (b"content-type", b"application/problem+json")

        assert play(ATTACKS[id_], api(401, challenge, problem))

    def test_an_api_that_fails(self) -> None:
        found = [str(one) for one in play(ATTACKS["C1"], api(500))]

        assert any("got 500" in one for one in found)

    def test_it_counts_by_group(self) -> None:
        attacks = [ATTACKS[id_] for id_ in ("A4", "C1", "C14")]

        assert tally(api(200), attacks) == {"A": Counter(right=1), "C": Counter(right=1, wrong=1)}

    def test_a_setting_that_is_not_there_is_left_out(self) -> None:
        target = Target(build=lambda _: None, moves_clock=True)

        with pytest.raises(NotApplicable, match=f"no setting {Setting.DPOP}"):
            play(ATTACKS["J1"], target)

    def test_a_clock_that_cannot_be_moved_is_left_alone(self) -> None:
        with pytest.raises(NotApplicable, match="clock cannot be moved"):
            play(ATTACKS["D15"], Target(build=api(200).build))


class TestWeakKeys:
    """Each signs soundly, so that it is the key an API must refuse (RFC 8017 §9.2)."""

    @pytest.mark.parametrize("key", [short_key(), roca()], ids=["short", "roca"])
    def test_its_signatures_hold(self, key: RawRsa) -> None:
        public = rsa.RSAPublicNumbers(key.e, key.n).public_key()

        public.verify(key.sign(b"x"), b"x", padding.PKCS1v15(), hashes.SHA256())

    def test_with_exponent_one_a_message_is_its_own_signature(self) -> None:
        key = exponent_one(roca())

        assert key.sign(b"x") == emsa_pkcs1(b"x", key.length)

    def test_the_weak_modulus_is_one_that_we_know_as_such(self) -> None:
        from mintmark.jose.errors import KeyRefused
        from mintmark.jose.keys import VerificationKey

        with pytest.raises(KeyRefused, match="weak"):
            VerificationKey.from_jwk(roca().jwk("x"))


def test_leniency_is_about_the_kind_of_refusal_alone() -> None:
    from mintmark.testing.attacks.model import R1
    from mintmark.testing.running import Reply

    for status in (400, 401, 403):
        assert not differences(Reply(status=status), R1, lenient=True, method="GET")
    for status in (200, 404, 500, 503):
        assert differences(Reply(status=status), R1, lenient=True, method="GET")
