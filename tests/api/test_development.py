"""Development tokens at an API: taken in development alone, and only while their key is there."""

import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tests.api.conftest import API, request_with
from tests.jose import forge

from mintmark.api import Caller, Gate, Refused, TrustedIssuer
from mintmark.api.development import (
    ALGORITHM,
    DevelopmentKeys,
    DevelopmentRefused,
    issuer_of,
    key_file,
    project_of,
    require_development,
    require_project,
    state_folder,
)
from mintmark.api.events import DevelopmentTokensTrusted, KeysFetched, KeysUnavailable
from mintmark.api.key_source import KeysMissing
from mintmark.cli.issued import IssuedTokens
from mintmark.cli.token_request import TokenRequest
from mintmark.clock import Clock
from mintmark.events import Event, Events
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.keys import SigningKey
from mintmark.secret import Secret
from mintmark.testing import FrozenClock


class Heard(Events):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type) -> int:
        return sum(type(event) is kind for event in self.events)


class Creeping:
    """A clock that moves on whenever it is asked."""

    def __init__(self) -> None:
        self.at = FrozenClock().now()
        self.step = timedelta(0)

    def now(self) -> datetime:
        self.at += self.step
        return self.at

    def timestamp(self) -> float:
        return self.now().timestamp()


@pytest.fixture(autouse=True)
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's state folder of our own, and an environment that says nothing."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("MINTMARK_ENVIRONMENT", raising=False)
    return tmp_path / "state"


@pytest.fixture
def made() -> IssuedTokens:
    return IssuedTokens("orders", os.environ)


@pytest.fixture
def heard() -> Heard:
    return Heard()


def gate_of(clock: Clock, heard: Heard, project: str | Path = "orders") -> Gate:
    return Gate(
        API,
        insecure_trust_development_tokens_of=project,
        environment="development",
        clock=clock,
        events=heard,
    )


@pytest.fixture
def gate(clock: FrozenClock, heard: Heard) -> Iterator[Gate]:
    made = gate_of(clock, heard)
    yield made
    made.close()


def token_of(made: IssuedTokens, clock: Clock, **options: object) -> Secret:
    request = TokenRequest(**{"subject": "alice", "audience": (API,), **options})  # type: ignore[arg-type]  # -- options by name
    key = made.key_to_sign_with()
    return request.issue(clock.timestamp(), key.kid).mint(made.project, key)


async def caller(gate: Gate, token: Secret | str) -> Caller:
    text = token.reveal() if isinstance(token, Secret) else token
    return await gate.require_caller(request_with([(b"authorization", b"Bearer " + text.encode())]))


async def refused(gate: Gate, token: Secret | str, status: int = 401) -> str:
    with pytest.raises(Refused) as refusal:
        await caller(gate, token)
    assert refusal.value.answer.status == status
    return refusal.value.answer.reason


class TestEnvironment:
    """Anything but `development` refuses, and so does silence."""

    @pytest.mark.parametrize(
        ("stated", "variable"),
        [("development", None), (None, "development"), ("development", "development")],
    )
    def test_s49_development_by_whoever_says_it(
        self, stated: str | None, variable: str | None
    ) -> None:
        variables = {} if variable is None else {"MINTMARK_ENVIRONMENT": variable}

        require_development(stated, variables)

    @pytest.mark.parametrize(
        ("stated", "variable", "who"),
        [
            (None, None, "say environment"),
            ("production", None, "environment is 'production'"),
            (None, "production", "MINTMARK_ENVIRONMENT is 'production'"),
            ("development", "production", "MINTMARK_ENVIRONMENT is 'production'"),
            ("production", "development", "environment is 'production'"),
            ("Development", None, "Development"),
            ("dev", None, "dev"),
            ("", None, "''"),
            (None, "", "''"),
            ("development ", None, "development "),
        ],
    )
    def test_s48_s49_everything_else_refuses(
        self, stated: str | None, variable: str | None, who: str
    ) -> None:
        variables = {} if variable is None else {"MINTMARK_ENVIRONMENT": variable}

        with pytest.raises(DevelopmentRefused, match=who):
            require_development(stated, variables)

    def test_s48_s49_the_start_is_refused_in_production(
        self, monkeypatch: pytest.MonkeyPatch, heard: Heard
    ) -> None:
        monkeypatch.setenv("MINTMARK_ENVIRONMENT", "production")
        with pytest.raises(ValueError, match="production"):
            Gate(
                API,
                issuer="https://id.example",
                insecure_trust_development_tokens_of="orders",
                environment="development",
                events=heard,
            )
        assert heard.events == []

    async def test_s48_a_gate_without_the_switch_takes_none(
        self, made: IssuedTokens, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MINTMARK_ENVIRONMENT", "development")
        gate = Gate(API, issuer="https://id.example", environment="development", clock=clock)

        assert "not an issuer that is trusted" in await refused(gate, token_of(made, clock))
        gate.close()

    def test_the_log_warns_at_the_start(self, gate: Gate, heard: Heard) -> None:
        assert heard.of(DevelopmentTokensTrusted) == 1
        assert DevelopmentTokensTrusted.level >= 30


class TestTokens:
    async def test_a_person_and_an_application(
        self, gate: Gate, made: IssuedTokens, clock: FrozenClock
    ) -> None:
        person = token_of(made, clock, scope=("orders.read",), roles=("clerk",), client="shop")
        application = token_of(made, clock, subject=None, application="nightly")
        alice, nightly = await caller(gate, person), await caller(gate, application)

        assert (alice.subject, alice.client_id, alice.kind) == ("alice", "shop", "delegated")
        assert alice.scopes == {"orders.read"}
        assert alice.roles == {"clerk"}
        assert (nightly.subject, nightly.kind) == ("nightly", "application")
        assert alice.issuer == "https://development.invalid/orders"

    async def test_one_for_another_api(
        self, gate: Gate, made: IssuedTokens, clock: FrozenClock
    ) -> None:
        token = token_of(made, clock, audience=("https://other.example",))

        assert "aud" in await refused(gate, token)

    async def test_v03_the_key_of_one_project_signs_for_no_other(
        self, gate: Gate, made: IssuedTokens, clock: FrozenClock
    ) -> None:
        made.key_to_sign_with()
        other = IssuedTokens("other", os.environ)
        key = other.key_to_sign_with()
        issued = TokenRequest(subject="alice", audience=(API,)).issue(clock.timestamp(), key.kid)

        assert "not an issuer" in await refused(gate, issued.mint("other", key))
        assert "key" in await refused(gate, issued.mint("orders", key))

    async def test_v03_it_speaks_for_no_real_issuer(
        self, made: IssuedTokens, clock: FrozenClock, heard: Heard
    ) -> None:
        """The development key under another's name: the other's own keys are what counts."""
        gate = Gate(
            API,
            issuers=[TrustedIssuer(issuer="https://id.invalid", audience=API)],
            insecure_trust_development_tokens_of="orders",
            environment="development",
            clock=clock,
            events=heard,
        )
        claims = {"iss": "https://id.invalid", "sub": "a", "aud": API}
        await refused(gate, forge.signed(claims, made.key_to_sign_with()), 503)
        gate.close()

    def test_an_issuer_twice_is_refused(self, clock: FrozenClock, heard: Heard) -> None:
        with pytest.raises(ValueError, match="twice"):
            Gate(
                API,
                issuers=[TrustedIssuer(issuer=issuer_of("orders"), audience=API)],
                insecure_trust_development_tokens_of="orders",
                environment="development",
            )

    @pytest.mark.parametrize(("more", "good"), [(0, True), (1, False)])
    async def test_it_lasts_24_hours_at_most(
        self, gate: Gate, made: IssuedTokens, clock: FrozenClock, more: int, good: bool
    ) -> None:
        """Also one that was made by hand."""
        now = int(clock.timestamp())
        claims = {"iss": issuer_of("orders"), "sub": "a", "aud": API, "client_id": "c", "jti": "j"}
        life = 24 * 3600 + more
        token = forge.signed({**claims, "iat": now, "exp": now + life}, made.key_to_sign_with())

        if good:
            assert (await caller(gate, token)).subject == "a"
        else:
            assert "too far" in await refused(gate, token)


class TestReset:
    async def test_s49_refused_a_second_after_the_reset_though_it_was_remembered(
        self, gate: Gate, made: IssuedTokens, clock: FrozenClock
    ) -> None:
        token = token_of(made, clock)
        await caller(gate, token)
        made.reset_key()
        clock.advance(timedelta(seconds=0.9))
        assert (await caller(gate, token)).subject == "alice"
        clock.advance(timedelta(seconds=0.1))

        assert "key" in await refused(gate, token)
        assert (await caller(gate, token_of(made, clock))).subject == "alice"

    async def test_a_token_of_the_new_key_is_good_at_once(
        self, gate: Gate, made: IssuedTokens, clock: FrozenClock
    ) -> None:
        await caller(gate, token_of(made, clock))
        made.reset_key()

        assert (await caller(gate, token_of(made, clock))).subject == "alice"

    async def test_an_api_that_started_before_there_was_a_key(
        self, gate: Gate, made: IssuedTokens, clock: FrozenClock
    ) -> None:
        """Nobody has made a token, so this one is wrong: 401, and not "ask me later"."""
        strange = forge.signed({"iss": issuer_of("orders")}, forge.ES256)
        await refused(gate, strange)

        assert (await caller(gate, token_of(made, clock))).subject == "alice"

    async def test_a_key_that_is_taken_away_ends_its_tokens(
        self, gate: Gate, made: IssuedTokens, clock: FrozenClock
    ) -> None:
        token = token_of(made, clock)
        await caller(gate, token)
        made.key_path.unlink()
        clock.advance(timedelta(seconds=1))

        await refused(gate, token)

    async def test_a_clock_that_was_set_back_does_not_stop_the_looking(
        self, gate: Gate, made: IssuedTokens, clock: FrozenClock
    ) -> None:
        await caller(gate, token_of(made, clock))
        made.reset_key()
        clock.advance(timedelta(hours=-1))
        token = token_of(made, clock)

        assert (await caller(gate, token)).subject == "alice"

    async def test_what_an_old_key_proved_is_never_remembered_under_a_new_number(
        self, made: IssuedTokens, heard: Heard
    ) -> None:
        """The second runs out between the look at the keys and the look at their number."""
        clock = Creeping()
        gate = gate_of(clock, heard)
        first, second = token_of(made, clock), token_of(made, clock)
        await caller(gate, first)
        made.reset_key()
        clock.step = timedelta(seconds=0.6)
        with suppress(Refused):
            await caller(gate, second)
        clock.step = timedelta(0)
        await refused(gate, second)
        gate.close()

    def test_it_looks_once_a_second(
        self, made: IssuedTokens, clock: FrozenClock, heard: Heard
    ) -> None:
        keys = DevelopmentKeys("orders", made.key_path, clock, heard)
        made.key_to_sign_with()
        first = keys.usable(clock.timestamp())
        made.reset_key()
        assert keys.usable(clock.timestamp() + 0.99) is first
        second = keys.usable(clock.timestamp() + 1.0)

        assert second is not first
        assert second is not None
        assert first is not None
        assert second.keys[0].kid != first.keys[0].kid
        assert heard.of(KeysFetched) == 2


class TestFiles:
    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
    def test_w89_a_key_that_others_can_touch_stops_the_start(
        self, made: IssuedTokens, clock: FrozenClock, heard: Heard, mode: int
    ) -> None:
        made.key_to_sign_with()
        gate_of(clock, heard).close()
        made.key_path.chmod(mode)

        with pytest.raises(DevelopmentRefused, match="open to others"):
            gate_of(clock, heard)

    def test_w89_a_folder_that_others_can_touch_stops_the_start(
        self, made: IssuedTokens, clock: FrozenClock, heard: Heard
    ) -> None:
        made.key_to_sign_with()
        made.key_path.parent.chmod(0o755)

        with pytest.raises(DevelopmentRefused, match="open to others"):
            gate_of(clock, heard)

    def test_a_link_to_somewhere_else(
        self, made: IssuedTokens, tmp_path: Path, clock: FrozenClock, heard: Heard
    ) -> None:
        made.key_to_sign_with()
        elsewhere = made.key_path.rename(tmp_path / "elsewhere")
        made.key_path.symlink_to(elsewhere)

        with pytest.raises(DevelopmentRefused, match="link"):
            gate_of(clock, heard)

    @pytest.mark.parametrize(
        "octets",
        [b"nonsense", SigningKey.generate(Algorithm.ES384).to_pkcs8(), forge.RS256.to_pkcs8()],
        ids=["nonsense", "another curve", "RSA"],
    )
    def test_a_file_that_is_no_key_for_this(
        self, made: IssuedTokens, clock: FrozenClock, heard: Heard, octets: bytes
    ) -> None:
        made.key_to_sign_with()
        made.key_path.write_bytes(octets)

        with pytest.raises(DevelopmentRefused, match=r"key\.pkcs8"):
            gate_of(clock, heard)

    async def test_a_file_that_goes_bad_meanwhile_is_unavailable_and_said_once(
        self, gate: Gate, made: IssuedTokens, clock: FrozenClock, heard: Heard
    ) -> None:
        token = token_of(made, clock)
        await caller(gate, token)
        made.key_path.chmod(0o644)
        for _ in range(3):
            clock.advance(timedelta(seconds=1))
            await refused(gate, token, 503)
        assert heard.of(KeysUnavailable) == 1
        made.key_path.chmod(0o600)
        clock.advance(timedelta(seconds=1))

        assert (await caller(gate, token)).subject == "alice"

    async def test_a_stream_ends_with_its_key(
        self, gate: Gate, made: IssuedTokens, clock: FrozenClock
    ) -> None:
        token = token_of(made, clock)
        scope = request_with([(b"authorization", f"Bearer {token.reveal()}".encode())])
        admitted = await gate.require_admitted(scope, clock.timestamp())
        assert await gate.seconds_left(admitted) > 3000
        made.key_path.chmod(0o644)
        clock.advance(timedelta(seconds=1))
        assert await gate.seconds_left(admitted) == 0
        made.key_path.chmod(0o600)
        made.reset_key()
        clock.advance(timedelta(seconds=1))

        assert await gate.seconds_left(admitted) == 0

    def test_keys_that_cannot_be_had_say_why(
        self, made: IssuedTokens, clock: FrozenClock, heard: Heard
    ) -> None:
        made.key_to_sign_with()
        made.key_path.chmod(0o644)
        keys = DevelopmentKeys("orders", made.key_path, clock, heard)

        with pytest.raises(KeysMissing, match="open to others"):
            keys.require()


class TestProjects:
    def test_a_name_in_the_settings(self, tmp_path: Path) -> None:
        (tmp_path / "mintmark.toml").write_text('project = "orders"\n')

        assert project_of(tmp_path) == ("orders", "mintmark.toml")

    def test_without_a_name_the_path_is_one(self, tmp_path: Path) -> None:
        """Two folders of one name are two projects."""
        folders = [tmp_path / place / "My Shop!" for place in ("a", "b")]
        for folder in folders:
            folder.mkdir(parents=True)
        names = [project_of(folder)[0] for folder in folders]

        assert names[0] != names[1]
        assert [name[:8] for name in names] == ["my-shop-"] * 2
        assert [require_project(name) for name in names] == names

    async def test_a_folder_names_the_project_for_the_gate_too(
        self, tmp_path: Path, clock: FrozenClock, heard: Heard
    ) -> None:
        made = IssuedTokens(project_of(tmp_path)[0], os.environ)
        gate = gate_of(clock, heard, tmp_path)

        assert (await caller(gate, token_of(made, clock))).subject == "alice"
        gate.close()

    @pytest.mark.parametrize(
        "name", ["", "..", "../other", "a/b", "/etc", "a..b", "Orders", "a b", ".a", "a" * 65, "é"]
    )
    def test_a_name_that_is_none(self, name: str) -> None:
        with pytest.raises(DevelopmentRefused, match="project"):
            state_folder(name, os.environ)

    def test_the_longest_name(self) -> None:
        assert require_project("a" * 64) == "a" * 64

    @pytest.mark.parametrize("text", ["project = 5", "project =", 'project = "../x"'])
    def test_settings_that_name_none(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "mintmark.toml").write_text(text)

        with pytest.raises(DevelopmentRefused, match=r"project|TOML"):
            project_of(tmp_path)

    def test_the_issuer_is_nobodys(self) -> None:
        """RFC 6761 §6.4: `.invalid` is a name that nobody can own."""
        assert issuer_of("orders").startswith("https://development.invalid/")

    def test_w13_a_relative_state_folder_is_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Keys would lie in the project's folder, and be committed with it."""
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        path = key_file("orders", {"XDG_STATE_HOME": "state"})

        assert path == tmp_path / "home/.local/state/mintmark/dev/orders/key.pkcs8"

    def test_the_algorithm_is_asymmetric(self) -> None:
        assert ALGORITHM is Algorithm.ES256
