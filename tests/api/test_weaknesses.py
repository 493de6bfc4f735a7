"""Weaknesses that other systems had (docs/scenarios.md), tried at this guard.

Each refusal stands beside its honest twin: what differs from it by that one thing, and passes.
"""

import logging
import re
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import httpx2
import msgspec
import pytest
from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from tests.api.conftest import API, bearer, request_with, who
from tests.jose import forge

from mintmark.api import (
    AUTHENTICATED,
    PUBLIC,
    Caller,
    ClientCertificate,
    DPoP,
    Gate,
    Refused,
    TrustedIssuer,
    client,
    cognito,
    issuer,
    login,
    scope,
)
from mintmark.api.credentials import read_credentials
from mintmark.fetch import FetchPolicy
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.keys import SigningKey
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock

Call = Callable[..., Any]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def neighbour(clock: FrozenClock) -> Iterator[FakeAuthority]:
    """A second issuer, with clients of its own."""
    with FakeAuthority(clock=clock).serve() as serving:
        yield serving


@pytest.fixture
def both(authority: FakeAuthority, neighbour: FakeAuthority, clock: FrozenClock) -> Iterator[Gate]:
    """A gate that trusts two issuers."""
    authority.clock = clock
    made = Gate(API, issuers=[trusting(authority), trusting(neighbour)], clock=clock)
    yield made
    made.close()


def trusting(authority: FakeAuthority, **settings: Any) -> TrustedIssuer:
    return TrustedIssuer(
        issuer=authority.issuer, policy=authority.policy, **({"audience": API} | settings)
    )


async def status(gate: Gate, token: Secret | str, policy: Any = AUTHENTICATED) -> int:
    app = gate.wrap(who, {"/orders": policy})
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=API) as http:
        return (await http.get("/orders", headers=bearer(token))).status_code


# --- What is asked, and what is done about the answer --------------------------------------------


async def test_w26_what_was_not_proved_is_an_exception_and_never_a_value_to_look_at(
    gate: Gate, authority: FakeAuthority, clock: FrozenClock
) -> None:
    """Whoever forgets to look at a result gets none: `require_caller` returns a caller or raises."""
    good = authority.access_token().reveal()
    foreign = forge.signed({"iss": authority.issuer}, SigningKey.generate(Algorithm.ES256))
    for token in (good[:-4] + "AAAA", foreign, "x", good.rpartition(".")[0] + "."):
        with pytest.raises(Refused):
            await gate.require_caller(
                request_with([(b"authorization", b"Bearer " + token.encode())])
            )

    caller = await gate.require_caller(
        request_with([(b"authorization", b"Bearer " + good.encode())])
    )
    assert type(caller) is Caller


async def test_w26_the_application_is_not_reached_by_what_was_refused(
    gate: Gate, authority: FakeAuthority
) -> None:
    reached: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])
        await who(scope, receive, send)

    app = gate.wrap(application, {"/orders": scope("orders.read")})
    tokens = [authority.access_token(), authority.access_token(scope="orders.read")]
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=API) as http:
        statuses = [
            (await http.get("/orders", headers=headers)).status_code
            for headers in ({}, bearer("x"), *(bearer(token) for token in tokens))
        ]

    assert statuses == [401, 401, 403, 200]
    assert reached == ["/orders"]


async def test_w46_a_route_that_opens_one_door_opens_no_other(
    gate: Gate, authority: FakeAuthority
) -> None:
    """A public path is that very path, and the report shows it."""
    app = gate.wrap(who, {"/orders": PUBLIC, "/orders/**": AUTHENTICATED, "/orders/help": PUBLIC})
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=API) as http:
        found = {
            path: (await http.get(path)).status_code
            for path in ("/orders", "/orders/1", "/orders/help", "/orders/help/1", "/other")
        }
        own = await http.get("/orders/1", headers=bearer(authority.access_token()))

    assert found == {
        "/orders": 200, "/orders/1": 401, "/orders/help": 200, "/orders/help/1": 401, "/other": 401,
    }  # fmt: skip
    assert own.status_code == 200
    assert re.findall(r"^(\S+) +PUBLIC$", gate.report(), re.MULTILINE) == [
        "/orders",
        "/orders/help",
    ]


async def test_w46_no_decoration_of_a_route_lets_anybody_past_the_guard(
    gate: Gate, authority: FakeAuthority
) -> None:
    """A route of FastAPI without `requires` is shut: there is no "allow anonymous" to forget."""
    app = gate.install(FastAPI())

    @app.get("/forgotten")
    async def forgotten() -> str:
        return "seen"

    @app.get("/guarded")
    async def guarded(caller: Annotated[Caller, gate.requires(AUTHENTICATED)]) -> str:
        return caller.subject

    headers = bearer(authority.access_token())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=API) as http:
        anonymous = [(await http.get(path)).status_code for path in ("/forgotten", "/guarded")]
        known = [(await http.get(path, headers=headers)).status_code
                 for path in ("/forgotten", "/guarded")]  # fmt: skip

    assert anonymous == [401, 401]
    assert known[0] in {401, 403}
    assert known[1] == 200


# --- Issuers -------------------------------------------------------------------------------------


async def test_s32_w61_the_same_client_id_of_another_issuer_is_another_client(
    both: Gate, authority: FakeAuthority, neighbour: FakeAuthority
) -> None:
    ours = client("partner", issuer=authority.issuer)

    assert await status(both, authority.access_token(client_id="partner"), ours) == 200
    assert await status(both, neighbour.access_token(client_id="partner"), ours) == 403
    assert await status(both, neighbour.access_token(client_id="partner")) == 200
    # The same, said in two parts.
    parts = client("partner") & issuer(authority.issuer)
    assert await status(both, authority.access_token(client_id="partner"), parts) == 200
    assert await status(both, neighbour.access_token(client_id="partner"), parts) == 403


@pytest.mark.parametrize(
    "common",
    ["https://id.example/{tenantid}/v2.0", "https://id.example/common/v2.0"],
    ids=["template", "common"],
)
async def test_w55_metadata_for_everybodys_tenants_is_nobodys(
    gate: Gate, authority: FakeAuthority, clock: FrozenClock, common: str
) -> None:
    """Its keys sign for every tenant; taken for ours, each of them could call this API."""
    authority.metadata_changes = {"issuer": common}
    assert await status(gate, authority.access_token()) == 503
    assert authority.counts["jwks"] == 0

    authority.metadata_changes = {}
    clock.advance(timedelta(seconds=1))
    assert await status(gate, authority.access_token()) == 200


async def test_w55_a_key_that_tenants_share_signs_for_ours_alone(
    gate: Gate, authority: FakeAuthority
) -> None:
    mine = authority.issuer
    assert await status(gate, authority.access_token()) == 200
    for theirs in (f"{mine}/another-tenant", f"{mine}/common", "https://id.example"):
        authority.issuer = theirs
        token = authority.access_token()
        authority.issuer = mine
        assert await status(gate, token) == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_w56_a_scheme_has_no_case(call: Call, authority: FakeAuthority, scheme: str) -> None:
    token = authority.access_token().reveal()

    assert (await call({"authorization": f"{scheme} {token}"})).status_code == 200
    assert (await call({"authorization": f"{scheme}s {token}"})).status_code == 401


@pytest.mark.parametrize("token", ["unreadable", "a.b.c", "e30.e30.e30", "eyJ.x.y", ".."])
async def test_w56_what_cannot_be_read_goes_to_no_default_issuer(
    both: Gate, authority: FakeAuthority, neighbour: FakeAuthority, token: str
) -> None:
    assert await status(both, token) == 401
    assert authority.counts.total() + neighbour.counts.total() == 0


async def test_w63_two_identities_are_two_requests_and_no_caller(
    both: Gate, authority: FakeAuthority, neighbour: FakeAuthority
) -> None:
    """Two tokens that are both good: their rights would add up in one caller."""
    one, other = authority.access_token(scope="read"), neighbour.access_token(scope="write")
    app = both.wrap(who, {"/orders": AUTHENTICATED})
    lines = [(b"authorization", f"Bearer {token.reveal()}".encode()) for token in (one, other)]
    joined = {"authorization": f"Bearer {one.reveal()}, Bearer {other.reveal()}"}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=API) as http:
        together = [(await http.get("/orders", headers=headers)).status_code
                    for headers in (lines, joined)]  # fmt: skip

    assert together == [400, 400]
    callers = [await both.require_caller(request_with([line])) for line in lines]
    assert [caller.issuer for caller in callers] == [authority.issuer, neighbour.issuer]
    assert [caller.scopes for caller in callers] == [{"read"}, {"write"}]


async def test_w64_an_issuers_name_is_compared_to_the_last_slash(
    gate: Gate, authority: FakeAuthority, clock: FrozenClock
) -> None:
    mine = authority.issuer
    authority.issuer = f"{mine}/"
    with_slash = authority.access_token()
    authority.issuer = mine

    assert await status(gate, with_slash) == 401
    assert await status(gate, authority.access_token()) == 200
    # The other way round: trusted with a slash that the issuer does not have.
    other = Gate(
        API,
        issuers=[TrustedIssuer(issuer=f"{mine}/", audience=API, policy=authority.policy)],
        clock=clock,
    )
    assert await status(other, authority.access_token()) == 401
    assert await status(other, with_slash) == 503
    other.close()


@pytest.mark.parametrize(
    "url", ["http://id.example", "http://192.0.2.1", "http://localhost.example"]
)
@pytest.mark.parametrize("on_loopback", [True, False])
def test_w72_an_issuer_without_tls_cannot_be_trusted(url: str, *, on_loopback: bool) -> None:
    """The switch for development opens this machine alone."""
    policy = FetchPolicy(insecure_allow_http_on_loopback=on_loopback)
    with pytest.raises(ValueError, match="issuer"):
        TrustedIssuer(issuer=url, audience=API, policy=policy)
    TrustedIssuer(issuer=url.replace("http:", "https:"), audience=API, policy=policy)


async def test_w72_nor_can_its_keys_come_without(
    gate: Gate, authority: FakeAuthority, clock: FrozenClock
) -> None:
    authority.metadata_changes = {"jwks_uri": "http://id.example/jwks"}
    assert await status(gate, authority.access_token()) == 503

    authority.metadata_changes = {}
    clock.advance(timedelta(seconds=1))
    assert await status(gate, authority.access_token()) == 200


async def test_w83_the_audience_is_looked_at_in_every_dialect(
    authority: FakeAuthority, clock: FrozenClock
) -> None:
    authority.clock = clock
    other = authority.access_token(aud=("https://other.example",))
    near = authority.access_token(aud=(f"{API}/", "https://api.example.evil", API.upper()))
    gate = Gate(API, issuers=[trusting(authority)], clock=clock)
    for token in (other, near):
        assert await status(gate, token) == 401
    assert await status(gate, authority.access_token(aud=("https://other.example", API))) == 200
    gate.close()
    with pytest.raises(ValueError, match="audience"):
        trusting(authority, audience="")
    # Cognito's have none; where one names somebody else all the same, it counts.
    lax = Gate(API, issuers=[trusting(authority, dialect=cognito("client"))], clock=clock)
    shape = {"token_use": "access", "username": "x", "scope": "a"}
    claims = {"iss": authority.issuer, "sub": "alice", "client_id": "client", "jti": "1",
              "iat": int(clock.timestamp()), "exp": int(clock.timestamp()) + 60} | shape  # fmt: skip

    def signed(**members: Any) -> str:
        return forge.signed(claims | members, authority.key, typ=None)

    assert [await status(lax, signed(**m)) for m in ({}, {"aud": "https://other.example"})] == [
        200, 401,
    ]  # fmt: skip
    lax.close()


# --- What is told, and to whom -------------------------------------------------------------------


CLAIMS = {"email": "eve@private.example", "acr": "phr-of-eve", "groups": ["board-of-directors"]}


async def test_w65_no_refusal_tells_what_the_token_says(
    call: Call, authority: FakeAuthority
) -> None:
    token = authority.access_token(sub="subject-of-eve", client_id="client-of-eve", extra=CLAIMS)
    said = ["subject-of-eve", "client-of-eve", "eve@private", "phr-of-eve", "board-of"]
    for headers in (
        bearer(token),
        bearer(token.reveal()[:-4] + "AAAA"),
    ):
        answer = await call(headers, policy=scope("orders.write"))
        shown = answer.text + repr(answer.headers)
        assert answer.status_code in {401, 403}
        assert [word for word in said if word in shown] == []
    assert (await call(bearer(token))).text == "delegated subject-of-eve"  # the application may


@pytest.mark.parametrize("write", [msgspec.json.encode, jsonable_encoder])
async def test_w65_a_caller_cannot_be_written_into_a_page_as_a_whole(
    gate: Gate, authority: FakeAuthority, write: Callable[[Any], Any]
) -> None:
    """Whoever answers with it by mistake is stopped; whoever wants a part of it names the part."""
    token = authority.access_token(sub="eve", extra=CLAIMS)
    caller = await gate.require_caller(
        request_with([(b"authorization", f"Bearer {token.reveal()}".encode())])
    )

    with pytest.raises((TypeError, ValueError)):
        write(caller)
    assert write({"name": caller.subject})


async def test_w69_the_guard_sets_no_cookie_and_reads_none(
    call: Call, authority: FakeAuthority
) -> None:
    token = authority.access_token().reveal()
    for place in ({"cookie": f"access_token={token}; token={token}"}, {"x-access-token": token}):
        answer = await call(place)
        assert answer.status_code == 401
    good = await call({"authorization": f"Bearer {token}"})

    assert good.status_code == 200
    assert [name for one in (answer, good) for name in one.headers if "cookie" in name] == []
    assert token not in answer.text + good.text


@pytest.mark.parametrize("error", [False, True], ids=["accepted", "refused"])
async def test_w70_no_token_is_printed_logged_or_shown(
    gate: Gate,
    authority: FakeAuthority,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    *,
    error: bool,
) -> None:
    caplog.set_level(logging.DEBUG)
    token = authority.access_token().reveal()
    sent = token[:-4] + "AAAA" if error else token
    request = request_with([(b"authorization", f"Bearer {sent}".encode())])
    shown = repr(read_credentials(request["headers"], dpop=False).scheme)
    try:
        admitted = await gate.require_admitted(request, gate.clock.timestamp())
        shown += repr(admitted) + str(admitted.caller)
    except Refused as refused:
        shown += repr(refused) + str(refused) + repr(refused.answer) + repr(refused.__cause__)
    shown += repr(await gate.explain(Secret(sent))) + gate.report() + repr(gate)
    printed = "".join(capfd.readouterr()) + caplog.text
    signature = sent.rpartition(".")[2]

    assert len(signature) > 80
    assert signature not in shown + printed
    assert signature[:20] not in shown + printed


# --- Keys and certificates that lie about --------------------------------------------------------


KEY_FILES = re.compile(r"\.(pem|pfx|p12|key|crt|cer|der|jks)$")
PRIVATE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{20}")
PRIVATE_JWK = re.compile(r"""["']d["']\s*:\s*["'][A-Za-z0-9_-]{40}""")
OPENS_WITH = re.compile(r"(password|passphrase)\s*=\s*b?[\"'][^\"']+[\"']")


def key_material_in(name: str, text: str, *, printed_in_a_specification: bool = False) -> list[str]:
    found = [name] if KEY_FILES.search(name) else []
    patterns = [PRIVATE] if printed_in_a_specification else [PRIVATE, PRIVATE_JWK, OPENS_WITH]
    return found + [f"{name}: {pattern.pattern}" for pattern in patterns if pattern.search(text)]


def test_w73_w89_no_private_key_lies_in_the_repository() -> None:
    """Keys are made where they are used; the vectors of specifications are everybody's."""
    found = []
    for folder in ("src", "tests", "docs", "bench", "tools", "requirements", "changelog.d"):
        for path in sorted((ROOT / folder).rglob("*")):
            if not path.is_file() or "__pycache__" in path.parts:
                continue
            text = path.read_text(errors="replace")
            printed = path.is_relative_to(ROOT / "tests")
            found += key_material_in(path.name, text, printed_in_a_specification=printed)
    assert found == []


def test_w73_w89_a_key_that_lay_there_would_be_found() -> None:
    der = SigningKey.generate(Algorithm.ES256).to_pkcs8()
    pem = f"-----BEGIN PRIVATE KEY-----\n{forge.segment(der)}"

    assert key_material_in("client.pfx", "") == ["client.pfx"]
    assert key_material_in("a.py", pem, printed_in_a_specification=True)
    assert key_material_in("a.py", '{"kty": "EC", "d": "' + "A" * 43 + '"}')
    assert key_material_in("a.py", "load_pkcs12(data, password=b'1234')")
    assert not key_material_in("a.py", "load_pem_private_key(data, password=None)")


def test_w66_the_start_reads_no_file_that_could_be_old_or_gone(
    authority: FakeAuthority, clock: FrozenClock
) -> None:
    """A guard that takes bearer tokens does not stop for the certificate of another day."""
    opened: list[str] = []
    thread, watching = threading.get_ident(), True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and event == "open" and threading.get_ident() == thread:
            opened.append(str(arguments[0]))

    sys.addaudithook(watch)  # for as long as the process lives, but it looks away in the end
    try:
        certificate = ClientCertificate.from_tls()
        gate = Gate(
            API, issuers=[trusting(authority)], dpop=DPoP(), client_certificate=certificate,
            clock=clock,
        )  # fmt: skip
        gate.close()
        assert opened == []
        Path(__file__).read_bytes()
        assert opened == [__file__]
    finally:
        watching = False


# --- Scenarios that nothing else names -----------------------------------------------------------


async def test_s35_after_two_hops_the_person_is_the_same_and_the_last_actor_comes_first(
    gate: Gate, authority: FakeAuthority
) -> None:
    """RFC 8693 §4.1, as the API at the end of the chain sees it."""
    act = {"sub": "orders-api", "act": {"sub": "web-shop"}}
    token = authority.access_token(sub="alice", client_id="orders-api", extra={"act": act})
    caller = await gate.require_caller(
        request_with([(b"authorization", f"Bearer {token.reveal()}".encode())])
    )

    assert (caller.kind, caller.subject) == ("on_behalf", "alice")
    assert [one.subject for one in caller.actor_chain] == ["orders-api", "web-shop"]
    assert caller.actor is caller.actor_chain[0]


async def test_s36_a_stronger_sign_in_is_asked_for_in_a_challenge_and_then_the_call_passes(
    gate: Gate, authority: FakeAuthority, clock: FrozenClock
) -> None:
    """RFC 9470 §3: the caller on whose behalf it was made can lead the person there."""
    policy, now = login(acr="phr"), int(clock.timestamp())
    act = {"act": {"sub": "orders-api"}, "auth_time": now}
    weak = authority.access_token(sub="alice", extra=act | {"acr": "pwd"})
    strong = authority.access_token(sub="alice", extra=act | {"acr": "phr"})
    app = gate.wrap(who, {"/orders": policy})
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=API) as http:
        first = await http.get("/orders", headers=bearer(weak))
        second = await http.get("/orders", headers=bearer(strong))

    assert first.status_code == 401
    assert 'error="insufficient_user_authentication"' in first.headers["www-authenticate"]
    assert 'acr_values="phr"' in first.headers["www-authenticate"]
    assert (second.status_code, second.text) == (200, "on_behalf alice")
