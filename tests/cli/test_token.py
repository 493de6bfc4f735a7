"""`mintmark token`: S-49 as a whole, its files, its options, and what goes wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.api.conftest import request_with
from tests.cli.profile import API, STATUS_TOKEN, Profile, one_line

from mintmark.api import Gate, Refused
from mintmark.api.development import DevelopmentRefused, project_of
from mintmark.cli.failure import Failure
from mintmark.cli.issued import Issued, IssuedTokens
from mintmark.cli.moments import parse_duration, parse_moment, relative
from mintmark.cli.token_request import TokenRequest
from mintmark.clock import SystemClock
from mintmark.jose.strict_json import decode_object
from mintmark.protocol.access_token import read_access_token
from mintmark.testing import FrozenClock

NOW = 1_700_000_000.25


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile(tmp_path)


@pytest.fixture
def kept(tmp_path: Path) -> IssuedTokens:
    return IssuedTokens("orders", {"XDG_STATE_HOME": str(tmp_path / "state")})


class TestS49:
    """Made, listed, printed, removed, and ended by a new key, with an API that looks on."""

    @pytest.fixture
    def clock(self) -> FrozenClock:
        return FrozenClock(SystemClock().now())

    @pytest.fixture
    def gate(
        self, profile: Profile, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[Gate]:
        for name, value in profile.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("MINTMARK_ENVIRONMENT", "development")
        gate = Gate(API, insecure_trust_development_tokens_of=profile.project, clock=clock)
        yield gate
        gate.close()

    async def test_s49_the_whole_life_of_a_token(
        self, profile: Profile, gate: Gate, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        token = profile.token("--client", "shop", "--scope", "orders.read orders.write")
        caller = await gate.require_caller(bearing(token))
        assert (caller.subject, caller.client_id) == ("alice", "shop")
        assert caller.scopes == {"orders.read", "orders.write"}

        listed = profile.good("token", "list")
        assert token.split(".")[2] not in listed
        token_id = listed.split()[0]
        assert " good " in listed
        assert "alice by shop" in listed

        again = profile.good("token", "print", token_id)
        assert read_access_token(again).claims == read_access_token(token).claims
        assert (await gate.require_caller(bearing(again))).subject == "alice"

        profile.good("token", "remove", token_id)
        assert profile.good("token", "list") == ""
        one_line(profile.run("token", "print", token_id), STATUS_TOKEN, "no token")

        profile.good("token", "key", "reset")
        clock.advance(timedelta(seconds=1))
        for old in (token, again):
            with pytest.raises(Refused) as refusal:
                await gate.require_caller(bearing(old))
            assert refusal.value.answer.status == 401
        fresh = profile.token()
        assert (await gate.require_caller(bearing(fresh))).subject == "alice"

        monkeypatch.setenv("MINTMARK_ENVIRONMENT", "production")
        with pytest.raises(DevelopmentRefused, match="production"):
            Gate(API, insecure_trust_development_tokens_of=profile.project)

    def test_s49_a_token_of_an_old_key_is_listed_as_such_and_not_printed(
        self, profile: Profile
    ) -> None:
        profile.token()
        profile.good("token", "key", "reset")
        listed = profile.good("token", "list")
        assert "key reset" in listed

        one_line(profile.run("token", "print", listed.split()[0]), STATUS_TOKEN, "reset")

    def test_s49_clear_takes_all_from_the_list(self, profile: Profile) -> None:
        assert profile.good("token", "clear") == "removed: 0"
        profile.token()
        profile.token("--application", "nightly")
        assert len(profile.good("token", "list").splitlines()) == 2

        assert profile.good("token", "clear") == "removed: 2"
        assert profile.good("token", "list") == ""


def bearing(token: str) -> dict[str, object]:
    return request_with([(b"authorization", f"Bearer {token}".encode())])


class TestFiles:
    def test_w13_w89_nothing_lies_in_the_projects_folder_and_no_token_anywhere(
        self, profile: Profile
    ) -> None:
        """W-13: secrets in source; W-89: private keys committed."""
        token = profile.token()
        assert list(profile.project.iterdir()) == []
        files = [path for path in profile.state.rglob("*") if path.is_file()]

        assert {path.suffix for path in files} == {".pkcs8", ".json"}
        for path in files:
            for segment in token.split("."):
                assert segment.encode() not in path.read_bytes()

    def test_w13_not_even_with_a_relative_state_folder(self, profile: Profile) -> None:
        profile.environment["XDG_STATE_HOME"] = "state"
        profile.token()

        assert list(profile.project.iterdir()) == []
        assert list((Path(profile.environment["HOME"]) / ".local/state/mintmark/dev").iterdir())

    def test_w89_everything_is_open_to_its_owner_alone(
        self, profile: Profile, tmp_path: Path
    ) -> None:
        """Also where the user's other files are open."""
        before = os.umask(0)
        try:
            profile.token()
        finally:
            os.umask(before)
        modes = {
            path.relative_to(tmp_path): path.stat().st_mode & 0o777
            for path in (profile.state, *profile.state.rglob("*"))
        }
        assert len(modes) == 7
        assert set(modes.values()) == {0o700, 0o600}
        assert all((mode == 0o700) == (tmp_path / path).is_dir() for path, mode in modes.items())

    def test_w89_a_folder_that_is_open_is_not_used(self, profile: Profile) -> None:
        profile.token()
        (folder,) = (profile.state / "mintmark/dev").iterdir()
        folder.chmod(0o755)

        for command in (["key", "show"], ["key", "reset"], ["list"]):
            one_line(profile.run("token", *command), STATUS_TOKEN, "open to others")

    def test_s49_processes_that_make_a_key_at_once_make_one(self, profile: Profile) -> None:
        command = [sys.executable, "-m", "mintmark.cli", "token", "create", "--subject", "a",
                   "--audience", API]  # fmt: skip
        environment = {**os.environ, **profile.environment}
        racing = [
            subprocess.Popen(
                command, cwd=profile.project, env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )
            for _ in range(2)
        ]  # fmt: skip
        made = [process.communicate(timeout=60)[0].strip() for process in racing]

        assert [process.returncode for process in racing] == [0] * 2
        assert len({read_access_token(token).jws.header.kid for token in made}) == 1
        assert len(profile.good("token", "list").splitlines()) == 2
        assert list(profile.state.rglob("*.new")) == []

    def test_s49_of_two_keys_the_first_one_stays(
        self, kept: IssuedTokens, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The other process finishes between our look and our writing."""
        first = kept.key_to_sign_with()
        looks = iter([None, first])
        monkeypatch.setattr(IssuedTokens, "key", lambda _: next(looks))
        kept.key_to_sign_with()
        monkeypatch.undo()
        found = kept.key()

        assert found is not None
        assert found.kid == first.kid

    def test_a_record_that_cannot_be_read_is_named_and_cleared(self, profile: Profile) -> None:
        profile.token()
        (path,) = profile.state.rglob("*.json")
        path.write_text("{")

        one_line(profile.run("token", "list"), STATUS_TOKEN, path.name, "cannot be read")
        assert profile.good("token", "clear") == "removed: 1"

    @pytest.mark.parametrize("name", ["../key", "", "x" * 12, "0123456789ab/..", "0123456789AB"])
    def test_an_id_is_no_path(self, kept: IssuedTokens, name: str) -> None:
        for ask in (kept.get, kept.remove):
            with pytest.raises(Failure, match="no token"):
                ask(name)


class TestCommands:
    def test_the_token_alone_goes_to_standard_output(self, profile: Profile) -> None:
        done = profile.run("token", "create", "--application", "nightly", "--audience", API)

        assert len(done.stdout.split()) == 1
        assert done.stdout.strip().split(".")[2] not in done.stderr
        assert "by this folder's path" in done.stderr

    def test_json_says_what_it_says(self, profile: Profile) -> None:
        text = profile.token("--output", "json", "--role", "admin", "--claim", "shop=7")
        said = json.loads(text)

        assert said["claims"] == {"shop": 7, "roles": ["admin"]}
        assert read_access_token(said["token"]).claims["shop"] == 7

    def test_the_key_is_named_and_not_shown(self, profile: Profile) -> None:
        one_line(profile.run("token", "key", "show"), STATUS_TOKEN, "no key yet")
        token = profile.token()
        shown = profile.good("token", "key", "show")

        assert str(read_access_token(token).jws.header.kid) in shown
        assert project_of(profile.project)[0] in shown
        assert len(shown.splitlines()) == 4

    def test_a_project_by_its_name_in_the_settings_and_by_the_option(
        self, profile: Profile
    ) -> None:
        (profile.project / "mintmark.toml").write_text('project = "shop"\n')
        by_settings = read_access_token(profile.token()).iss
        by_option = read_access_token(profile.token("--project", "shop")).iss

        assert by_settings == by_option == "https://development.invalid/shop"
        one_line(profile.run("token", "list", "--project", "../x"), STATUS_TOKEN, "project")

    def test_a_refused_token_makes_no_key(self, profile: Profile) -> None:
        done = profile.run("token", "create", "--subject", "alice")

        one_line(done, STATUS_TOKEN, "--audience")
        assert not profile.state.exists()


def issued(**options: object) -> Issued:
    asked = {"subject": "alice", "audience": (API,), **options}
    return TokenRequest(**asked).issue(NOW, "kid")  # type: ignore[arg-type]  # -- by name


class TestOptions:
    def test_an_hour_unless_it_is_said(self) -> None:
        assert issued().expires_at - issued().issued_at == 3600

    def test_24_hours_at_most(self) -> None:
        assert issued(valid_for="24h").expires_at == int(NOW) + 86400
        assert issued(expires_on="2023-11-15T22:13:20Z").expires_at == int(NOW) + 86400

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"valid_for": "24h1s"}, "24 hours"),
            ({"valid_for": "0s"}, "before it begins"),
            ({"valid_for": "1 hour"}, "not a duration"),
            ({"valid_for": ""}, "not a duration"),
            ({"valid_for": "-1h"}, "not a duration"),
            ({"expires_on": "2023-11-15T22:13:21Z"}, "24 hours"),
            ({"expires_on": "2023-11-14T22:13:20Z"}, "before it begins"),
            ({"expires_on": "2023-11-15T00:00:00"}, "zone"),
            ({"expires_on": "tomorrow"}, "zone"),
            ({"expires_on": "2023-11-15T00:00:00Z", "valid_for": "1h"}, "one of the two"),
            ({"not_before": "2023-11-14T23:13:20Z"}, "--not-before"),
            ({"application": "nightly"}, "exactly one"),
            ({"subject": None}, "exactly one"),
            ({"subject": None, "application": "n", "client": "c"}, "--client"),
            ({"client": "alice"}, "--application"),
            ({"subject": ""}, "--subject"),
            ({"subject": "a" * 256}, "--subject"),
            ({"subject": "a\x1b[31m"}, "--subject"),
            ({"audience": ()}, "--audience"),
            ({"audience": ("",)}, "--audience"),
            ({"scope": ('a"b',)}, "--scope"),
            ({"scope": ("a  b",)}, "--scope"),
            ({"roles": ("a\nb",)}, "--role"),
            ({"claims": ("shop",)}, "name=value"),
            ({"claims": ("=5",)}, "--claim"),
            ({"claims": ("sub=bob",)}, "--subject"),
            ({"claims": ("iss=https://id.example",)}, "iss"),
            ({"claims": ("a=1", "a=2")}, "twice"),
            ({"claims": ('cnf={"x":"y"}',)}, "cnf"),
            ({"claims": ("a=" + "[" * 40 + "]" * 40,)}, "--claim"),
            ({"claims": ("a=\udcff",)}, "--claim"),
            ({"claims": ("\udcff=a",)}, "--claim"),
        ],
        ids=ascii,
    )
    def test_what_is_refused(self, options: dict[str, object], words: str) -> None:
        with pytest.raises(Failure, match=words):
            issued(**options)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("5", 5), ("true", True), ("null", None), ('"5"', "5"), ("five", "five"), ("", ""),
            ('["a"]', ["a"]), ("a=b", "a=b"), ("NaN", "NaN"), ('{"b":{"c":1}}', {"b": {"c": 1}}),
        ],
    )  # fmt: skip
    def test_a_claim_is_json_or_text(self, text: str, value: object) -> None:
        assert issued(claims=(f"a={text}",)).extra == {"a": value}

    def test_a_moment_before_which_it_is_not_good(self) -> None:
        made = issued(not_before="2023-11-14T23:43:20+01:00")

        assert made.extra == {"nbf": int(NOW) + 1800}

    @pytest.mark.parametrize(
        ("offset", "kid", "state"),
        [(0, "kid", "good"), (3599, "kid", "good"), (3600, "kid", "expired"), (0, "k", "key reset"),
         (0, None, "key reset")],
    )  # fmt: skip
    def test_its_state(self, offset: int, kid: str | None, state: str) -> None:
        assert issued().state(int(NOW) + offset, kid) == state

    def test_its_state_before_its_time(self) -> None:
        made = issued(not_before="2023-11-14T22:13:30Z")

        assert made.state(NOW + 9, "kid") == "not yet good"
        assert made.state(NOW + 10, "kid") == "good"

    def test_the_same_claims_each_time(self, kept: IssuedTokens) -> None:
        """Signed anew: only the signature differs."""
        key = kept.key_to_sign_with()
        made = issued(scope=("b a",), roles=("r",), claims=("n=1",))
        first, second = (made.mint("orders", key).reveal() for _ in range(2))

        assert first.rpartition(".")[0] == second.rpartition(".")[0]
        assert decode_object(read_access_token(first).jws.payload)["scope"] == "a b"


class TestWords:
    @pytest.mark.parametrize(
        ("seconds", "words"),
        [(0, "now"), (0.4, "now"), (1, "in 1 second"), (-59, "59 seconds ago"),
         (3599, "in 59 minutes 59 seconds"), (3600, "in 1 hour"), (-90061, "1 day 1 hour ago"),
         (2e11, "in 2314814 days 19 hours")],
    )  # fmt: skip
    def test_how_far_it_is(self, seconds: float, words: str) -> None:
        assert relative(seconds) == words

    @pytest.mark.parametrize(
        ("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("1h30m", 5400)]
    )
    def test_durations(self, text: str, seconds: int) -> None:
        assert parse_duration("--valid-for", text) == timedelta(seconds=seconds)

    @pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"])
    def test_moments_at_the_ends_of_time(self, text: str) -> None:
        with pytest.raises(Failure, match="zone"):
            parse_moment("--expires-on", text)
