"""What the server keeps secret, and from whom."""

from datetime import UTC, datetime, timedelta

import pytest

from mintmark.jose.algorithms import Algorithm
from mintmark.secret import Secret
from mintmark.server.accounts import Accounts, PasswordRefused, hash_password
from mintmark.server.config import RefreshTokenPolicy, ServerConfig
from mintmark.server.sealing import Sealer, Unsealable, open_successor, seal_successor
from mintmark.server.signing_keys import SigningKeys, WrongMasterKey
from mintmark.server.stores import AccountRecord
from mintmark.server.throttle import Throttle, TooManyAttempts
from mintmark.storage.memory import MemoryStores

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class TestSealing:
    """What is sealed for one purpose opens for that purpose alone."""

    def test_only_key_label_and_context_open_it(self) -> None:
        sealer = Sealer(b"k" * 32)
        sealed = sealer.seal("keys", b"content", b"name")

        assert sealer.open("keys", sealed, b"name") == b"content"
        for other, label, context, octets in (
            (Sealer(b"o" * 32), "keys", b"name", sealed),
            (sealer, "else", b"name", sealed),
            (sealer, "keys", b"another", sealed),
            (sealer, "keys", b"name", sealed[:-1] + bytes([sealed[-1] ^ 1])),
            (sealer, "keys", b"name", b""),
        ):
            with pytest.raises(Unsealable):
                other.open(label, octets, context)

    def test_a_successor_opens_for_its_predecessor_alone(self) -> None:
        parent, successor = Secret.generate(), Secret.generate()
        sealed = seal_successor(parent, successor)

        assert open_successor(parent, sealed) == successor
        assert successor.reveal().encode() not in sealed
        with pytest.raises(Unsealable):
            open_successor(successor, sealed)

    def test_a_master_key_has_32_bytes(self) -> None:
        with pytest.raises(ValueError, match="32 bytes"):
            Sealer(b"k" * 31)


class TestSigningKeys:
    """Made at the first start, the same at every later one."""

    async def test_the_first_start_makes_them_and_the_next_opens_them(self) -> None:
        store, sealer = MemoryStores().keys, Sealer(b"k" * 32)

        first = await SigningKeys.load(store, sealer, now=NOW, algorithm=Algorithm.ES256)
        again = await SigningKeys.load(store, sealer, now=NOW, algorithm=Algorithm.ES256)
        both = await SigningKeys.load(store, sealer, now=NOW, algorithm=Algorithm.RS256)

        assert first.current().kid == again.current().kid
        assert both.current().algorithm is Algorithm.RS256
        assert len(both.key_set.keys) == 2

    async def test_another_master_key_is_refused(self) -> None:
        store = MemoryStores().keys
        await SigningKeys.load(store, Sealer(b"k" * 32), now=NOW, algorithm=Algorithm.ES256)

        with pytest.raises(WrongMasterKey):
            await SigningKeys.load(store, Sealer(b"o" * 32), now=NOW, algorithm=Algorithm.ES256)


class TestPasswords:
    """RFC 9106 §4; whatever is wrong, the person hears the same."""

    async def test_the_right_password_and_no_other(self) -> None:
        stores = MemoryStores()
        account = AccountRecord(
            subject="1",
            username="alice",
            password_hash=hash_password(Secret("wonderland")),
            claims={},
        )
        await stores.accounts.put(account)
        accounts = Accounts(stores.accounts)

        async def attempt(name: str, password: str) -> AccountRecord:
            return await accounts.require_password(
                name, Secret(password), client_address="::1", now=NOW
            )

        assert await attempt("ALICE", "wonderland") == account
        for name, password in (
            ("alice", "Wonderland"),
            ("alice", ""),
            ("nobody", "wonderland"),
            ("alice", "w" * 1025),
        ):
            with pytest.raises(PasswordRefused):
                await attempt(name, password)
        accounts.close()

    def test_a_hash_is_argon2id_and_never_the_same_twice(self) -> None:
        one, other = (hash_password(Secret("wonderland")) for _ in range(2))

        assert one.startswith("$argon2id$")
        assert one != other


class TestThrottle:
    """So many failures within a window, counted on the second."""

    def test_the_limit_and_the_window_are_exact(self) -> None:
        throttle = Throttle(limit=2, window=timedelta(minutes=1))
        throttle.failed("alice", now=NOW)
        throttle.require_allowed("alice", now=NOW)
        throttle.failed("alice", now=NOW + SECOND)

        with pytest.raises(TooManyAttempts) as waits:
            throttle.require_allowed("alice", now=NOW + timedelta(seconds=59))
        assert waits.value.retry_after == SECOND
        throttle.require_allowed("alice", now=NOW + timedelta(seconds=60))
        throttle.require_allowed("bob", now=NOW)

    def test_a_success_forgives(self) -> None:
        throttle = Throttle(limit=1, window=timedelta(minutes=1))
        throttle.failed("alice", now=NOW)
        throttle.succeeded("alice")

        throttle.require_allowed("alice", now=NOW)


class TestConfig:
    """RFC 8414 §2, RFC 6749 §4.1.2, RFC 9700 §4.14.2: refused as it is made."""

    @pytest.mark.parametrize(
        "issuer",
        ["http://id.example", "https://id.example?a", "https://id.example#a", "id.example", "https://u@id.example",
         "http://localhost:1", ""],
    )  # fmt: skip
    def test_an_issuer_is_https_and_bare(self, issuer: str) -> None:
        with pytest.raises(ValueError, match="issuer"):
            ServerConfig(issuer=issuer)

    def test_http_is_for_loopback_and_said_by_name(self) -> None:
        assert (
            ServerConfig(issuer="http://localhost:1", insecure_allow_http_on_loopback=True).url(
                "/a"
            )
            == "http://localhost:1/a"
        )
        with pytest.raises(ValueError, match="https"):
            ServerConfig(issuer="http://id.example", insecure_allow_http_on_loopback=True)

    @pytest.mark.parametrize(
        "changes",
        [
            {"idle_lifetime": timedelta(days=91)}, {"idle_lifetime": timedelta(0)}, {"grace": timedelta(seconds=61)},
            {"grace": timedelta(seconds=-1)},
        ],
    )  # fmt: skip
    def test_lifetimes_go_together(self, changes: dict[str, timedelta]) -> None:
        with pytest.raises(ValueError, match="must be"):
            RefreshTokenPolicy(**changes)
        with pytest.raises(ValueError, match="code_lifetime"):
            ServerConfig(issuer="https://id.example", code_lifetime=timedelta(minutes=11))
