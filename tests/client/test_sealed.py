"""Keys and names of what lies in a shared store."""

import pickle
from dataclasses import replace
from datetime import timedelta

import pytest

from mintmark.client import KeyRing, RenewalPolicy
from mintmark.client.held import Acquired
from mintmark.client.keys import ApplicationKey, DelegatedKey
from mintmark.client.sealed import Unreadable, name_of, open_acquired, seal_acquired
from mintmark.secret import Secret

NAME = "ab" * 32


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(KeyRing.generate_key())


class TestKeyRing:
    def test_keys_come_from_the_environment_newest_first(self) -> None:
        new, old = KeyRing.generate_key(), KeyRing.generate_key()
        environment = {"KEYS": f" {new.reveal()}, {old.reveal()}=\n"}
        ring = KeyRing.from_env("KEYS", environment)

        assert KeyRing(new).open(ring.seal(b"content", NAME), NAME) == b"content"
        assert ring.open(KeyRing(old).seal(b"content", NAME), NAME) == b"content"

    @pytest.mark.parametrize("value", [None, "", " , ", "short", "a" * 44, "ü" * 43, "+" * 43])
    def test_what_is_no_key_is_said_at_start_and_not_shown(self, value: str | None) -> None:
        environment = {} if value is None else {"MINTMARK_TOKEN_KEYS": value}

        with pytest.raises(ValueError, match="32") as refusal:
            KeyRing.from_env(environment=environment)
        assert len((value or "").strip(" ,")) < 5 or value not in str(refusal.value)  # type: ignore[operator]  # -- None is short

    def test_a_ring_without_a_key_seals_nothing(self) -> None:
        with pytest.raises(ValueError, match="at least one"):
            KeyRing()

    def test_a_ring_shows_and_gives_away_nothing(self) -> None:
        key = KeyRing.generate_key()
        ring = KeyRing(key)

        assert key.reveal() not in repr(ring)
        with pytest.raises(TypeError):
            pickle.dumps(ring)

    def test_nothing_sealed_twice_looks_the_same(self, ring: KeyRing) -> None:
        assert ring.seal(b"content", NAME) != ring.seal(b"content", NAME)

    def test_another_name_another_key_and_every_changed_octet_are_unreadable(
        self, ring: KeyRing
    ) -> None:
        sealed = ring.seal(b"content", NAME)
        with pytest.raises(Unreadable):
            ring.open(sealed, "cd" * 32)
        with pytest.raises(Unreadable):
            KeyRing(KeyRing.generate_key()).open(sealed, NAME)
        for at in range(len(sealed)):
            changed = bytearray(sealed)
            changed[at] ^= 1
            with pytest.raises(Unreadable):
                ring.open(bytes(changed), NAME)
        for length in range(len(sealed)):
            with pytest.raises(Unreadable):
                ring.open(sealed[:length], NAME)


class TestEntries:
    def test_what_comes_out_is_what_went_in(self, ring: KeyRing) -> None:
        lease = RenewalPolicy().lease(1000.0, timedelta(minutes=10), timedelta(minutes=2))
        acquired = Acquired(Secret("token"), 1000.0, lease)

        sealed = seal_acquired(ring, NAME, acquired)

        assert open_acquired(ring, NAME, sealed) == replace(acquired, fetched=False)

    @pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"token":5}', b"[" * 5000])
    def test_an_entry_of_another_version_is_unreadable(self, ring: KeyRing, content: bytes) -> None:
        with pytest.raises(Unreadable):
            open_acquired(ring, NAME, ring.seal(content, NAME))


class TestNames:
    """W-01: the name of an entry is the whole request."""

    def test_w01_each_difference_is_another_name(self) -> None:
        key = ApplicationKey(
            issuer="https://id.example",
            client_id="client",
            scope=frozenset({"a", "b"}),
            resource=frozenset({"https://api.example"}),
        )
        others = [
            replace(key, issuer="https://other.example"), replace(key, client_id="other"),
            replace(key, scope=frozenset({"a"})), replace(key, scope=frozenset({"a b"})),
            replace(key, resource=frozenset()), replace(key, jkt="thumbprint"),
            replace(key, extra=frozenset({("audience", "x")})), replace(key, extra=frozenset({("x", "audience")})),
        ]  # fmt: skip

        names = {name_of(one) for one in [key, *others]} | {name_of(key, "renewal")}
        assert len(names) == len(others) + 2
        assert name_of(replace(key, scope=frozenset(["b", "a"]))) == name_of(key)

    def test_w25_a_persons_token_has_a_name_of_its_own(self) -> None:
        application = ApplicationKey(
            issuer="i", client_id="c", scope=frozenset(), resource=frozenset()
        )
        alice = DelegatedKey(
            issuer="i", client_id="c", scope=frozenset(), resource=frozenset(), session=b"alice"
        )

        names = {name_of(one) for one in (application, alice, replace(alice, session=b"bob"))}
        assert len(names) == 3

    def test_the_name_is_the_same_in_every_process_and_release(self) -> None:
        """Otherwise an update would fetch every token anew, and two releases side by side twice."""
        key = ApplicationKey(
            issuer="i", client_id="c", scope=frozenset("abc"), resource=frozenset("xyz")
        )

        assert name_of(key) == EXPECTED


EXPECTED = "7bd0de66a677269532fa3b3b82f004c5e404a6b7c1ae4e1be1dc54194e9c7e1e"
