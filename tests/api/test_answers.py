"""R0 to R8, octet by octet: what goes out, and what does not."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.api.conftest import bearer

from mintmark.api import Gate, scope
from mintmark.api.answers import (
    Answer,
    Challenges,
    Scheme,
    answer_to,
    forbidden,
    insufficient_details,
    insufficient_scope,
    insufficient_user_authentication,
    invalid_dpop_proof,
    invalid_request,
    invalid_token,
    no_credentials,
    not_found,
    unavailable,
    use_dpop_nonce,
)
from mintmark.api.policy import (
    Allowed,
    Forbidden,
    Hidden,
    MissingDetails,
    MissingScopes,
    StepUp,
    Undecided,
    Verdict,
    login,
)
from mintmark.protocol.challenge import parse_challenges
from mintmark.testing import FakeAuthority

META = "https://api.example/.well-known/oauth-protected-resource"
PLAIN = Challenges(realm="api")
BOTH = Challenges(realm="api", resource_metadata=META, dpop=("ES256", "PS256"))
DPOP_ONLY = Challenges(realm="api", bearer=False, dpop=("ES256",))
ALGS = 'algs="ES256 PS256"'
FROM = f'resource_metadata="{META}"'
AB = frozenset({"b", "a"})
MFA = StepUp(("phr", "mfa"), 300, frozenset({"pay"}))


def fields(answer: Answer, name: bytes) -> list[str]:
    return [value.decode() for key, value in answer.response().headers if key == name]


def challenges(answer: Answer) -> list[str]:
    return fields(answer, b"www-authenticate")


class TestExactly:
    @pytest.mark.parametrize(
        ("answer", "status", "expected"),
        [
            pytest.param(no_credentials(PLAIN, ""), 401, ['Bearer realm="api"'], id="R0"),
            pytest.param(no_credentials(BOTH, "", AB), 401,
                [f'Bearer realm="api", scope="a b", {FROM}',
                 f'DPoP realm="api", scope="a b", {ALGS}, {FROM}'], id="R0-both"),
            pytest.param(no_credentials(DPOP_ONLY, ""), 401,
                ['DPoP realm="api", algs="ES256"'], id="R0-dpop"),
            pytest.param(invalid_token(PLAIN, ""), 401,
                ['Bearer realm="api", error="invalid_token"'], id="R1"),
            pytest.param(invalid_token(BOTH, ""), 401,
                [f'Bearer realm="api", error="invalid_token", {FROM}',
                 f'DPoP realm="api", {ALGS}, {FROM}'], id="R1-both"),
            pytest.param(invalid_token(BOTH, "", Scheme.DPOP), 401,
                [f'DPoP realm="api", error="invalid_token", {ALGS}, {FROM}',
                 f'Bearer realm="api", {FROM}'], id="R1-with-proof"),
            pytest.param(invalid_token(DPOP_ONLY, ""), 401,
                ['DPoP realm="api", error="invalid_token", algs="ES256"'], id="R1-no-bearer"),
            pytest.param(invalid_request(PLAIN, ""), 400,
                ['Bearer realm="api", error="invalid_request"'], id="R2"),
            pytest.param(insufficient_scope(BOTH, AB), 403,
                [f'Bearer realm="api", error="insufficient_scope", scope="a b", {FROM}'], id="R3"),
            pytest.param(insufficient_scope(BOTH, AB, Scheme.DPOP), 403,
                [f'DPoP realm="api", error="insufficient_scope", scope="a b", {ALGS}, {FROM}'],
                id="R3-with-proof"),
            pytest.param(insufficient_details(PLAIN, ""), 403,
                ['Bearer realm="api", error="insufficient_scope"'], id="R3-m9"),
            pytest.param(invalid_dpop_proof(BOTH, ""), 401,
                [f'DPoP realm="api", error="invalid_dpop_proof", {ALGS}, {FROM}'], id="R4"),
            pytest.param(use_dpop_nonce(BOTH, "n"), 401,
                [f'DPoP realm="api", error="use_dpop_nonce", {ALGS}, {FROM}'], id="R5"),
            pytest.param(insufficient_user_authentication(PLAIN, MFA), 401,
                [('Bearer realm="api", error="insufficient_user_authentication", '
                 'acr_values="phr mfa", max_age="300", scope="pay"')], id="R6"),
            pytest.param(insufficient_user_authentication(PLAIN, StepUp((), 0)), 401,
                ['Bearer realm="api", error="insufficient_user_authentication", max_age="0"'],
                id="R6-age"),
            pytest.param(insufficient_user_authentication(BOTH, StepUp(("a",)), Scheme.DPOP), 401,
                [('DPoP realm="api", error="insufficient_user_authentication", '
                 f'acr_values="a", {ALGS}, {FROM}')], id="R6-with-proof"),
            pytest.param(unavailable(""), 503, [], id="R7"),
            pytest.param(forbidden(""), 403, [], id="R8"),
            pytest.param(not_found(""), 404, [], id="404"),
        ],
    )  # fmt: skip
    def test_status_and_challenges(self, answer: Answer, status: int, expected: list[str]) -> None:
        """RFC 6750 §3, RFC 6750 §3.1, RFC 9449 §7.1, RFC 9470 §3, RFC 9728 §5.1, RFC 9110 §15.5.4."""
        assert (answer.response().status, challenges(answer)) == (status, expected)

    @pytest.mark.parametrize(
        "answer",
        [no_credentials(BOTH, "x", AB), invalid_token(BOTH, "x", Scheme.DPOP),
         insufficient_user_authentication(BOTH, MFA)],
    )  # fmt: skip
    def test_what_is_written_is_what_a_client_reads(self, answer: Answer) -> None:
        """Each challenge is a field of its own, and a reader of joined fields finds the same."""
        apart = parse_challenges(challenges(answer))

        assert apart == parse_challenges([", ".join(challenges(answer))])
        assert [one.scheme for one in apart] == [one.split(" ")[0] for one in challenges(answer)]

    def test_w90_every_dpop_challenge_says_which_algorithms(self) -> None:
        """W-90: a challenge without `algs` leaves the client to guess."""
        for answer in (
            no_credentials(BOTH, ""), invalid_token(BOTH, ""), invalid_dpop_proof(BOTH, ""),
            use_dpop_nonce(BOTH, "n"), insufficient_scope(BOTH, AB, Scheme.DPOP),
        ):  # fmt: skip
            found = [one for one in challenges(answer) if one.startswith("DPoP ")]
            assert found
            assert all(ALGS in one for one in found)
        assert "DPoP" not in str(challenges(no_credentials(PLAIN, "")))


class TestHeaders:
    def test_r5_brings_the_nonce_and_is_not_kept(self) -> None:
        """RFC 9449 §9."""
        answer = use_dpop_nonce(BOTH, "fresh")

        assert fields(answer, b"dpop-nonce") == ["fresh"]
        assert fields(answer, b"cache-control") == ["no-store"]
        assert fields(invalid_dpop_proof(BOTH, ""), b"dpop-nonce") == []

    def test_r7_says_when_to_come_back(self) -> None:
        assert fields(unavailable(""), b"retry-after") == ["5"]
        assert fields(unavailable("", retry_after=30), b"retry-after") == ["30"]
        assert fields(forbidden(""), b"retry-after") == []

    @pytest.mark.parametrize("expose", [True, False])
    def test_9449_20_scripts_read_the_challenge_only_if_the_api_wants_it(
        self, expose: bool
    ) -> None:
        offered = Challenges(realm="api", dpop=("ES256",), expose=expose)
        expected = ["WWW-Authenticate, DPoP-Nonce"] if expose else []
        for answer in (invalid_token(offered, ""), use_dpop_nonce(offered, "n"),
                       no_credentials(offered, ""), insufficient_scope(offered, AB)):  # fmt: skip
            assert fields(answer, b"access-control-expose-headers") == expected
        assert fields(forbidden(""), b"access-control-expose-headers") == []

    def test_an_api_that_takes_nothing_is_refused_at_the_start(self) -> None:
        with pytest.raises(ValueError, match="nobody"):
            Challenges(realm="api", bearer=False)

    def test_a_name_cannot_end_the_header(self) -> None:
        """RFC 9110 §11.6.1: a quote or line break would start another parameter or field."""
        wild = Challenges(realm='a"\r\nset-cookie: x', resource_metadata='https://x/"')
        (found,) = challenges(invalid_token(wild, ""))

        assert found == (
            'Bearer realm="a???set-cookie: x", error="invalid_token", '
            'resource_metadata="https://x/?"'
        )


class TestBody:
    @pytest.mark.parametrize(
        ("answer", "body"),
        [
            (invalid_token(BOTH, "why"),
             {"title": "Unauthorized", "status": 401, "error": "invalid_token"}),
            (not_found("why"), {"title": "Not Found", "status": 404}),
            (unavailable("why"), {"title": "Service Unavailable", "status": 503}),
            (use_dpop_nonce(BOTH, "n", "why"),
             {"title": "Unauthorized", "status": 401, "error": "use_dpop_nonce"}),
        ],
    )  # fmt: skip
    def test_the_reason_stays_here(self, answer: Answer, body: dict[str, Any]) -> None:
        """RFC 9457 §3."""
        response = answer.response()

        assert msgspec.json.decode(response.body) == body
        assert fields(answer, b"content-type") == ["application/problem+json"]
        assert answer.reason == "why"
        assert "why" not in str(response.headers)

    def test_descriptions_come_from_a_fixed_vocabulary(self) -> None:
        wordy = Challenges(realm="api", descriptions=True)
        one, other = (invalid_token(wordy, reason) for reason in ("expired", "forged"))

        assert challenges(one) == challenges(other)
        assert challenges(one) == [
            (
                'Bearer realm="api", error="invalid_token", '
                'error_description="The access token is not valid here"'
            )
        ]
        assert challenges(no_credentials(wordy, "")) == ['Bearer realm="api"']
        assert "error_description" in challenges(insufficient_scope(wordy, AB))[0]
        assert "error_description" not in challenges(invalid_token(PLAIN, ""))[0]


class TestVerdicts:
    """The same refusal always has the same answer."""

    @pytest.mark.parametrize(
        ("verdict", "expected"),
        [
            (MissingScopes(AB), insufficient_scope(BOTH, AB)),
            (MissingDetails(frozenset({"p"})), insufficient_details(BOTH, "missing_details")),
            (MissingDetails(frozenset({"p"}), AB),
             insufficient_details(BOTH, "missing_details", AB)),
            (MFA, insufficient_user_authentication(BOTH, MFA)),
            (Forbidden("missing_role"), forbidden("missing_role")),
            (Hidden("missing_role"), not_found("missing_role")),
            (Undecided("rule_undecided"), unavailable("rule_undecided")),
        ],
    )  # fmt: skip
    def test_each_verdict(self, verdict: Verdict, expected: Answer) -> None:
        assert answer_to(verdict, BOTH) == expected
        assert answer_to(Allowed(), BOTH) is None

    def test_m9_other_details_are_no_scope(self) -> None:
        answer = answer_to(MissingDetails(frozenset({"payment"})), PLAIN)

        assert answer is not None
        assert "scope=" not in challenges(answer)[0]
        assert "payment" not in str(answer.response())

    async def test_w102_m4_step_up_is_one_answer_and_no_exception(
        self, gate: Gate, authority: FakeAuthority, call: Callable[..., Any]
    ) -> None:
        """W-102: the answer was written, and then an exception raised over it."""
        policy = login(acr="phr") & scope("pay")
        token = authority.access_token(sub="alice", extra={"acr": "pwd"})
        answer = await call(bearer(token), policy=policy)

        assert (answer.status_code, answer.json()["error"]) == (
            401, "insufficient_user_authentication",
        )  # fmt: skip
        assert answer.headers.get_list("www-authenticate") == [
            (
                f'Bearer realm="{gate.resource}", error="insufficient_user_authentication", '
                'acr_values="phr", scope="pay"'
            )
        ]
        better = authority.access_token(sub="alice", scope="pay", extra={"acr": "phr"})
        assert (await call(bearer(better), policy=policy)).status_code == 200
