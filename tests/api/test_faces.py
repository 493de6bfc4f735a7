"""The same request through every face has the same answer: status, challenges, body."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.api.conftest import API, bearer
from tests.api.faces import BY_ROUTE, BY_RULE, Answered

from mintmark.api import CallerKind, DPoP, Gate, TrustedIssuer, kind, rule, scope
from mintmark.api.caller import Caller
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.keys import SigningKey
from mintmark.protocol.dpop import make_proof
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock

WANTED = scope("orders.read")

Fields = list[tuple[str, str]]
Made = Callable[..., Callable[..., Answered]]


def by_rule(name: str) -> Made:
    return lambda gate, policy: BY_RULE[name](gate, {"/orders": policy})


FACES: dict[str, Made] = {
    **{f"rule: {name}": by_rule(name) for name in BY_RULE},
    **{f"route: {name}": made for name, made in BY_ROUTE.items()},
}
faces = pytest.mark.parametrize("face", FACES.values(), ids=FACES)


@pytest.fixture
def gated(authority: FakeAuthority, clock: FrozenClock) -> Iterator[Callable[..., Gate]]:
    authority.clock = clock
    made: list[Gate] = []

    def one(**settings: Any) -> Gate:
        trusted = TrustedIssuer(issuer=authority.issuer, audience=API, policy=authority.policy)
        made.append(Gate(API, issuers=[trusted], clock=clock, **settings))
        return made[-1]

    yield one
    for gate in made:
        gate.close()


def fields(token: Secret | str) -> Fields:
    return list(bearer(token).items())


def problem(status: int, title: str, error: str = "") -> bytes:
    said = f',"error":"{error}"' if error else ""
    return f'{{"title":"{title}","status":{status}{said}}}'.encode()


def require_refusal(
    answered: Answered, status: int, title: str, error: str = "", *challenges: str
) -> Answered:
    assert (answered.status, answered.body) == (status, problem(status, title, error))
    assert answered.challenges == list(challenges)
    assert answered.field("content-type") == ["application/problem+json"]
    assert answered.field("cache-control") == ["no-store"]
    assert answered.field("content-length") == [str(len(answered.body))]
    return answered


REALM = f'Bearer realm="{API}"'
R1 = (401, "Unauthorized", "invalid_token", f'{REALM}, error="invalid_token"')
R2 = (400, "Bad Request", "invalid_request", f'{REALM}, error="invalid_request"')


@faces
class TestBearer:
    def test_s19_no_token(self, gated: Any, face: Made) -> None:
        """R0. A rule says beforehand which scope it wants; a route does not tell that it is there."""
        answered = face(gated(), WANTED)()

        assert answered.status == 401
        assert answered.body == problem(401, "Unauthorized")
        assert answered.challenges in ([REALM], [f'{REALM}, scope="orders.read"'])

    @pytest.mark.parametrize("value", ["Bearer", "Bearer a b", "Bearer a,Bearer b", ""])
    def test_s20_no_token_in_its_one_form(self, gated: Any, face: Made, value: str) -> None:
        require_refusal(face(gated(), WANTED)(headers=[("authorization", value)]), *R2)

    def test_s20_a6_two_headers(self, gated: Any, face: Made, authority: FakeAuthority) -> None:
        """Over WSGI they come as one, with a comma between."""
        twice = fields(authority.access_token(scope="orders.read")) * 2
        require_refusal(face(gated(), WANTED)(headers=twice), *R2)

    def test_a_bad_token(self, gated: Any, face: Made, authority: FakeAuthority) -> None:
        ask = face(gated(), WANTED)
        foreign = authority.access_token(scope="orders.read", aud=("https://other.example",))

        require_refusal(ask(headers=fields("nonsense")), *R1)
        require_refusal(ask(headers=fields(foreign)), *R1)

    def test_good_until_it_expires(
        self, gated: Any, face: Made, authority: FakeAuthority, clock: FrozenClock
    ) -> None:
        ask = face(gated(), WANTED)
        token = fields(authority.access_token(scope="orders.read", sub="alice"))
        for _ in range(3):
            assert (ask(headers=token).status, ask(headers=token).body) == (200, b"delegated alice")
        clock.advance(authority.lifetime + timedelta(minutes=2))

        require_refusal(ask(headers=token), *R1)

    def test_s26_a_scope_is_missing(self, gated: Any, face: Made, authority: FakeAuthority) -> None:
        ask = face(gated(), WANTED)
        token = fields(authority.access_token(scope="orders.readx"))
        challenge = f'{REALM}, error="insufficient_scope", scope="orders.read"'
        for _ in range(2):  # proved now, and remembered
            require_refusal(ask(headers=token), 403, "Forbidden", "insufficient_scope", challenge)

    def test_another_kind_of_caller(self, gated: Any, face: Made, authority: FakeAuthority) -> None:
        """R8: no other token would help."""
        ask = face(gated(), kind(CallerKind.DELEGATED))

        require_refusal(ask(headers=fields(authority.access_token())), 403, "Forbidden")

    def test_s27_no_policy(self, gated: Any, face: Made, authority: FakeAuthority) -> None:
        ask = face(gated(), WANTED)
        token = fields(authority.access_token(scope="orders.read"))

        assert ask(path="/forgotten").status == 401
        require_refusal(ask(path="/forgotten", headers=token), 403, "Forbidden")

    def test_nobody_without_a_token_learns_which_paths_there_are(
        self, gated: Any, face: Made
    ) -> None:
        ask = face(gated(), WANTED)
        nowhere, forgotten = ask(path="/nowhere"), ask(path="/forgotten")

        assert (nowhere.status, nowhere.body) == (forgotten.status, forgotten.body)
        assert nowhere.challenges == forgotten.challenges == [REALM]

    def test_head_has_no_body(self, gated: Any, face: Made, authority: FakeAuthority) -> None:
        ask = face(gated(), WANTED)
        token = fields(authority.access_token(scope="orders.read"))
        refused = ask("HEAD")

        assert (refused.status, refused.body) == (401, b"")
        assert refused.field("content-length") == [str(len(problem(401, "Unauthorized")))]
        assert ask("HEAD", headers=token).status == 200
        lacking = ask("HEAD", headers=fields(authority.access_token(scope="x")))
        assert (lacking.status, lacking.body) == (403, b"")
        assert lacking.challenges == [f'{REALM}, error="insufficient_scope", scope="orders.read"']

    def test_a13_a_preflight_is_not_asked_for_a_token(self, gated: Any, face: Made) -> None:
        ask = face(gated(), WANTED)
        preflight = [("origin", "https://app.example"), ("access-control-request-method", "GET")]

        assert ask("OPTIONS", headers=preflight).status != 401
        assert b"alice" not in ask("OPTIONS", headers=preflight).body
        assert ask("OPTIONS", headers=preflight[:1]).status == 401

    def test_r7_the_issuers_keys_cannot_be_had(
        self, gated: Any, face: Made, authority: FakeAuthority
    ) -> None:
        authority.down = True
        ask = face(gated(), WANTED)
        answered = ask(headers=fields(authority.access_token(scope="orders.read")))

        require_refusal(answered, 503, "Service Unavailable")
        assert answered.field("retry-after") == ["5"]

    def test_a_rule_that_asks(self, gated: Any, face: Made, authority: FakeAuthority) -> None:
        async def is_alice(caller: Caller) -> bool:
            return caller.subject == "alice"

        async def breaks(caller: Caller) -> bool:
            raise RuntimeError("nobody foresaw this")

        ask = face(gated(), WANTED & rule("is alice", is_alice))
        alice, bob = (fields(authority.access_token(scope="orders.read", sub=sub))
                      for sub in ("alice", "bob"))  # fmt: skip
        for _ in range(2):
            assert ask(headers=alice).status == 200
            require_refusal(ask(headers=bob), 403, "Forbidden")
        broken = face(gated(), rule("breaks", breaks))
        require_refusal(broken(headers=alice), 403, "Forbidden")


class Holder:
    """A client with a key, and a token that is bound to it."""

    def __init__(self, authority: FakeAuthority, clock: FrozenClock) -> None:
        self.key = SigningKey.generate(Algorithm.ES256)
        self.clock = clock
        jkt = {"cnf": {"jkt": self.key.public.thumbprint()}}
        self.token = authority.access_token(sub="alice", scope="orders.read", extra=jkt)

    def proof(self, htm: str = "GET") -> tuple[str, str]:
        made = make_proof(
            self.key, access_token=self.token, htm=htm, htu=f"{API}/orders", now=self.clock.now()
        )
        return "dpop", made.reveal()

    @property
    def authorization(self) -> tuple[str, str]:
        return "authorization", f"DPoP {self.token.reveal()}"


@pytest.fixture
def holder(authority: FakeAuthority, clock: FrozenClock) -> Holder:
    authority.clock = clock
    return Holder(authority, clock)


def dpop_refusal(answered: Answered, error: str, *schemes: str) -> None:
    assert (answered.status, answered.body) == (401, problem(401, "Unauthorized", error))
    assert [one.partition(" ")[0] for one in answered.challenges] == list(schemes)
    assert f'error="{error}"' in answered.challenges[0]
    assert all("algs=" in one for one in answered.challenges if one.startswith("DPoP"))


@faces
class TestDPoP:
    """RFC 9449 §7, and each challenge in a header field of its own (RFC 9110 §11.6.1)."""

    def test_no_token_both_schemes_are_offered(self, gated: Any, face: Made) -> None:
        challenges = face(gated(dpop=DPoP()), WANTED)().challenges

        assert [one.partition(" ")[0] for one in challenges] == ["Bearer", "DPoP"]

    def test_s37_good_once(self, gated: Any, face: Made, holder: Holder) -> None:
        ask = face(gated(dpop=DPoP()), WANTED)
        headers = [holder.authorization, holder.proof()]

        assert (ask(headers=headers).status, ask(headers=headers).status) == (200, 401)
        dpop_refusal(ask(headers=headers), "invalid_dpop_proof", "DPoP")

    def test_s38_sent_as_a_bearer_token(self, gated: Any, face: Made, holder: Holder) -> None:
        answered = face(gated(dpop=DPoP()), WANTED)(headers=fields(holder.token))

        dpop_refusal(answered, "invalid_token", "Bearer", "DPoP")

    def test_two_proofs(self, gated: Any, face: Made, holder: Holder) -> None:
        headers = [holder.authorization, holder.proof(), holder.proof()]

        dpop_refusal(
            face(gated(dpop=DPoP()), WANTED)(headers=headers), "invalid_dpop_proof", "DPoP"
        )

    def test_a_nonce_is_asked_for_and_announced(
        self, gated: Any, face: Made, holder: Holder
    ) -> None:
        ask = face(gated(dpop=DPoP(nonce="always")), WANTED)
        answered = ask(headers=[holder.authorization, holder.proof()])
        dpop_refusal(answered, "use_dpop_nonce", "DPoP")
        (nonce,) = answered.field("dpop-nonce")
        made = make_proof(
            holder.key, access_token=holder.token, htm="GET", htu=f"{API}/orders",
            now=holder.clock.now(), nonce=nonce,
        )  # fmt: skip
        assert ask(headers=[holder.authorization, ("dpop", made.reveal())]).status == 200

    def test_an_unbound_token_is_told_of_the_nonce(
        self, gated: Any, face: Made, authority: FakeAuthority, holder: Holder
    ) -> None:
        """RFC 9449 §8.2: with a successful answer as well."""
        ask = face(gated(dpop=DPoP(nonce="always")), WANTED)
        token = fields(authority.access_token(scope="orders.read"))
        for _ in range(2):
            answered = ask(headers=token)
            assert (answered.status, len(answered.field("dpop-nonce"))) == (200, 1)
