"""What an API asks a person for, and the sign-in that brings it: RFC 9470, claims challenges."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx2
import msgspec
import pytest
from tests.client.callers import CALLERS, PLAIN, Api, Caller
from tests.client.signing_in import SignIns

from mintmark.client import Client, InsufficientScope, LoginFailed, StepUpRequired
from mintmark.client.attempt import UnreadableAttempt, dump_attempt, load_attempt
from mintmark.client.step_up import require_enough
from mintmark.protocol.challenge import parse_challenges
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority

CLAIMS = {"access_token": {"acrs": {"essential": True, "value": "c1"}}}
TEXT = msgspec.json.encode(CLAIMS)
STRONGER = 'error="insufficient_user_authentication"'


def wanted(status: int, *fields: str) -> StepUpRequired | None:
    try:
        require_enough(status, parse_challenges(fields))
    except StepUpRequired as step_up:
        return step_up
    return None


class TestChallenges:
    """RFC 9470 §3: which answers ask for something, and for what."""

    def test_a_stronger_or_fresher_sign_in(self) -> None:
        found = wanted(
            401, f'Bearer {STRONGER}, acr_values="gold silver", max_age="300", scope="pay"'
        )

        assert found is not None
        assert (found.acr_values, found.max_age) == (("gold", "silver"), timedelta(minutes=5))
        assert found.scope == {"pay"}
        assert found.claims is None
        assert not found.retryable

    def test_in_the_dpop_scheme_and_behind_another_challenge(self) -> None:
        found = wanted(401, 'Basic realm="x"', f"Negotiate, DPoP {STRONGER}, max_age=0")

        assert found is not None
        assert found.max_age == timedelta(0)

    def test_more_scope(self) -> None:
        found = wanted(403, 'Bearer error="insufficient_scope", scope="a b"')

        assert isinstance(found, InsufficientScope)
        assert found.scope == {"a", "b"}
        assert str(found) == "the API wants the scope a b"

    @pytest.mark.parametrize("status", [401, 403])
    @pytest.mark.parametrize(
        "text", [b64encode(TEXT), urlsafe_b64encode(TEXT), b64encode(TEXT).rstrip(b"=")], ids=[1, 2, 3]
    )  # fmt: skip
    def test_other_claims(self, status: int, text: bytes) -> None:
        found = wanted(status, f'Bearer error="insufficient_claims", claims="{text.decode()}"')

        assert found is not None
        assert found.claims == CLAIMS

    @pytest.mark.parametrize(
        "claims",
        ["", "!", "é", "a", b64encode(b"[]").decode(), b64encode(b"{}").decode(),
         b64encode(b'{"id_token": 5}').decode(), b64encode(b"\xff\xfe").decode(),
         b64encode(b'{"a":' * 2000).decode()],
    )  # fmt: skip
    def test_claims_that_cannot_be_read_ask_for_nothing(self, claims: str) -> None:
        """Another sign-in would bring the same token, and the same answer."""
        assert wanted(401, f'Bearer error="insufficient_claims", claims="{claims}"') is None

    @pytest.mark.parametrize(
        ("status", "field"),
        [
            (401, 'Bearer error="invalid_token"'), (401, 'Bearer error="insufficient_scope"'), (401, "Bearer"),
            (403, f"Bearer {STRONGER}"), (403, "Bearer"), (200, f"Bearer {STRONGER}"),
            (401, f"Basic {STRONGER}"), (401, ""),
        ],
    )  # fmt: skip
    def test_anything_else_asks_for_nothing(self, status: int, field: str) -> None:
        assert wanted(status, field) is None

    @pytest.mark.parametrize("age", ["", "-1", "x", "1.5", "٣", "9999999999", "1 2"])
    def test_an_age_that_is_none_is_left_out(self, age: str) -> None:
        found = wanted(401, f'Bearer {STRONGER}, max_age="{age}"')

        assert found is not None
        assert found.max_age is None


class TestAttached:
    """It is raised where the token was attached, whichever library sent it."""

    @pytest.fixture
    def api(self) -> Iterator[Api]:
        with Api().serve() as serving:
            yield serving

    @pytest.fixture(params=CALLERS)
    def caller(self, request: pytest.FixtureRequest, client: Client, api: Api) -> Iterator[Caller]:
        made = CALLERS[request.param](client.app_token(), [api.origin])
        yield made
        made.close()

    def test_a_401_that_asks_for_another_sign_in_is_not_repeated(
        self, caller: Caller, api: Api, authority: FakeAuthority
    ) -> None:
        """The token is a good one, so it is neither forgotten nor renewed."""
        api.answers = [(401, {"www-authenticate": f'Bearer {STRONGER}, acr_values="gold"'})]
        with pytest.raises(StepUpRequired) as step_up:
            caller.call("GET", api.origin)

        assert step_up.value.acr_values == ("gold",)
        assert caller.call("GET", api.origin) == 200
        assert authority.counts["client_credentials"] == 1

    def test_another_sites_word_counts_for_nothing(self, client: Client, api: Api) -> None:
        """A redirect led there without the token; nobody is to sign in because of it."""
        header = {"www-authenticate": f"Bearer {STRONGER}"}
        with Api(answers=[(401, header)]).serve() as elsewhere:
            api.answers = [(302, {"location": elsewhere.origin})]
            auth = client.app_token().auth(origins=[api.origin])
            with httpx2.Client(auth=auth, follow_redirects=True, verify=PLAIN) as http:
                assert http.get(api.origin).status_code == 401


class TestBegin:
    """`begin(step_up=...)` asks for it, and `finish` looks whether it came."""

    def test_what_the_api_wants_is_what_the_server_is_asked_for(self, sign_ins: SignIns) -> None:
        step_up = StepUpRequired(
            scope=frozenset({"pay"}), acr_values=("gold",), max_age=timedelta(minutes=5), claims=CLAIMS
        )  # fmt: skip
        sign_ins.front.id_token_changes = {"acr": "gold"}
        signed_in = sign_ins.sign_in(
            sign_ins.flow(),
            step_up=step_up,
            acr_values=("bronze",),
            max_age=timedelta(hours=1),
            claims={"access_token": {"email": None}, "userinfo": {"name": None}},
        )
        asked = sign_ins.asked()

        assert asked["acr_values"] == ("gold",)
        assert asked["max_age"] == ("300",)
        assert set(asked["scope"][0].split()) == {"openid", "offline_access", "orders.read", "pay"}
        assert msgspec.json.decode(asked["claims"][0]) == {
            "access_token": {"email": None, **CLAIMS["access_token"]}, "userinfo": {"name": None},
        }  # fmt: skip
        assert "pay" in signed_in.tokens.access_tokens[0].scope

    @pytest.mark.parametrize("acr", ["silver", None, "Gold", "gold silver"])
    def test_a_weaker_sign_in_is_none(self, sign_ins: SignIns, acr: str | None) -> None:
        sign_ins.front.id_token_changes = {"acr": acr}
        with pytest.raises(LoginFailed, match="acr"):
            sign_ins.sign_in(sign_ins.flow(), step_up=StepUpRequired(acr_values=("gold", "best")))

    @pytest.mark.parametrize(("age", "holds"), [(330, True), (331, False), (None, False)])
    def test_an_older_sign_in_is_none(
        self, sign_ins: SignIns, age: int | None, *, holds: bool
    ) -> None:
        now = int(sign_ins.clock.timestamp())
        sign_ins.front.id_token_changes = {"auth_time": None if age is None else now - age}
        step_up = StepUpRequired(max_age=timedelta(minutes=5))
        if holds:
            assert sign_ins.sign_in(sign_ins.flow(), step_up=step_up).id_token.sub == "alice"
        else:
            with pytest.raises(LoginFailed, match="auth_time"):
                sign_ins.sign_in(sign_ins.flow(), step_up=step_up)

    def test_less_scope_than_the_api_wants_is_none(self, sign_ins: SignIns) -> None:
        sign_ins.authority.changes = {"scope": "openid orders.read"}
        with pytest.raises(LoginFailed, match="less"):
            sign_ins.sign_in(sign_ins.flow(), step_up=InsufficientScope(frozenset({"pay"})))
        assert sign_ins.sign_in(sign_ins.flow()).id_token.sub == "alice"

    @pytest.mark.parametrize(
        ("claims", "holds"),
        [
            ({"acr": {"essential": True, "values": ["gold", "silver"]}}, True),
            ({"acr": {"essential": True, "value": "silver"}}, True),
            ({"acr": {"essential": True, "values": ["gold"]}}, False),
            ({"acr": {"values": ["gold"]}}, True),
            ({"acr": None}, True),
            ({"sub": {"value": "alice"}}, True),
            ({"sub": {"value": "bob"}}, False),
        ],
    )
    def test_an_essential_claim_must_come_and_a_wish_need_not(
        self, sign_ins: SignIns, claims: dict[str, Any], *, holds: bool
    ) -> None:
        """OIDC Core §5.5.1, OIDC Core §5.5.1.1."""
        sign_ins.front.id_token_changes = {"acr": "silver"}
        if holds:
            signed_in = sign_ins.sign_in(sign_ins.flow(), claims={"id_token": claims})
            assert signed_in.id_token.acr == "silver"
        else:
            with pytest.raises(LoginFailed):
                sign_ins.sign_in(sign_ins.flow(), claims={"id_token": claims})


class TestKept:
    """What is remembered of an attempt between its beginning and its end."""

    def test_everything_that_must_come_of_it_survives(self, sign_ins: SignIns) -> None:
        step_up = StepUpRequired(
            scope=frozenset({"pay"}), acr_values=("gold",), max_age=timedelta(seconds=7)
        )
        attempt = sign_ins.flow().begin(
            step_up=step_up, claims={"id_token": {"sub": {"value": "alice"}}}
        )
        loaded = load_attempt(dump_attempt(attempt), attempt.state)

        assert loaded.demands == attempt.demands
        assert (loaded.scope, loaded.nonce) == (attempt.scope, attempt.nonce)
        assert loaded.code_verifier == attempt.code_verifier
        assert loaded.demands.subject == "alice"
        assert loaded.demands.scope == {"pay"}
        assert attempt.nonce.reveal() not in repr(attempt)

    @pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", b'{"nonce":5}', b"[" * 9000])
    def test_something_else_is_no_attempt(self, text: bytes) -> None:
        with pytest.raises(UnreadableAttempt):
            load_attempt(text, Secret.generate())
