"""Requests that are pushed (RFC 9126) and signed (RFC 9101, OIDC Core §6.1)."""

import asyncio
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import CALLBACK, ISSUER, SECOND, require_refusal
from tests.server.requesting import KEY, Asking, answered, opened

from mintmark.fetch import Fetched, Fetcher
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.jws import sign
from mintmark.jose.keys import SigningKey
from mintmark.server.authorize.outcome import AskConsent, AskLogin, PostBack, Redirect, ShowError
from mintmark.testing import FrozenClock

MINUTE = timedelta(minutes=1)


class TestPushing:
    """RFC 9126 §2.1, §2.2."""

    async def test_s42_a_pushed_request_becomes_one_code(self, asking: Asking) -> None:
        name = await asking.pushed()
        session = await asking.session()

        # Loaded again before anybody decided: RFC 9126 §4 lets a page be reloaded.
        first = await asking.arrive(session, client_id="web", request_uri=name)
        again = await asking.arrive(session, client_id="web", request_uri=name)
        answer = answered(await asking.agree(first, session))
        late = answered(await asking.agree(again, session))

        assert (answer["state"], answer["iss"]) == ("state-of-this-test", ISSUER)
        assert (late["error"], "code" in late) == ("invalid_request", False)
        spent = await asking.arrive(session, client_id="web", request_uri=name)
        assert isinstance(spent, ShowError)

    async def test_s42_of_many_answers_at_once_one_is_a_code(self, asking: Asking) -> None:
        session = await asking.session()
        await asking.agree(await asking.ask(session), session)
        name = await asking.pushed()

        outcomes = await asyncio.gather(
            *(asking.arrive(session, client_id="web", request_uri=name) for _ in range(20))
        )

        codes = [one for one in outcomes if isinstance(one, Redirect) and "code=" in one.url]
        assert len(codes) == 1

    async def test_s42_it_is_its_clients_alone_and_for_a_minute(self, asking: Asking) -> None:
        """RFC 9126 §4."""
        name = await asking.pushed()

        other = await asking.arrive(client_id="other", request_uri=name, redirect_uri=CALLBACK)
        asking.clock.advance(MINUTE - SECOND)
        alive = await asking.arrive(client_id="web", request_uri=name)
        asking.clock.advance(SECOND)
        over = await asking.arrive(client_id="web", request_uri=name)

        assert answered(other)["error"] == "invalid_request_uri"
        assert isinstance(alive, AskLogin)
        assert isinstance(over, ShowError)

    async def test_s42_what_stands_beside_it_counts_for_nothing(self, asking: Asking) -> None:
        name = await asking.pushed("other", scope="openid")

        outcome = await asking.arrive(
            await asking.session(), client_id="other", request_uri=name, scope="openid orders.read",
            state="another", redirect_uri="https://evil.example/", response_mode="form_post",
        )  # fmt: skip

        assert isinstance(outcome, Redirect)
        assert answered(outcome)["state"] == "state-of-this-test"

    async def test_s42_where_it_is_demanded_nothing_else_is_taken(
        self, asking: Asking, tmp_path: Path, clock: FrozenClock
    ) -> None:
        """RFC 9126 §5, §6: by a client, and by the server for all."""
        refused = await asking.ask(client_id="strict", scope="openid")
        assert answered(refused)["error"] == "invalid_request"
        (tmp_path / "all").mkdir()
        async with opened(
            tmp_path / "all", clock, "require_pushed_authorization_requests = true\n"
        ) as everybody:
            assert answered(await everybody.ask())["error"] == "invalid_request"
            name = await everybody.pushed()
            outcome = await everybody.arrive(client_id="web", request_uri=name)
            metadata = await everybody.http.get("/.well-known/openid-configuration")
        assert isinstance(outcome, AskLogin)
        assert metadata.json()["require_pushed_authorization_requests"] is True

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
            ({"redirect_uri": None}, "invalid_request"),
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"scope": "openid everything"}, "invalid_scope"),
            ({"code_challenge": None}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"),
            ({"claims": "[]"}, "invalid_request"),
            ({"id_token_hint": "x.y.z"}, "invalid_request"),
            ({"request": "x"}, "invalid_request_object"),
            ({"state": ["one", "two"]}, "invalid_request"),
        ],
    )
    async def test_it_is_refused_at_once(
        self, asking: Asking, changes: dict[str, Any], error: str
    ) -> None:
        require_refusal(await asking.push(**changes), error)
        assert "pushed_request.refused" in asking.events.names()

    async def test_nobody_pushes_for_another(self, asking: Asking) -> None:
        form = asking.parameters(client_id="other")
        both = await asking.http.post("/par", data=form, headers=asking.headers("web"))
        nobody = await asking.http.post("/par", data=asking.parameters())

        assert both.status_code in {400, 401}
        require_refusal(nobody, "invalid_client", 401)
        assert (await asking.http.get("/par")).status_code == 405

    async def test_neither_name_nor_content_is_kept_readable(
        self, asking: Asking, tmp_path: Path
    ) -> None:
        name = await asking.pushed(login_hint="alice@wonderland.example")

        connection = sqlite3.connect(tmp_path / "server.sqlite3")
        row = repr(connection.execute("SELECT * FROM pushed_requests").fetchall())
        connection.close()
        assert name.rpartition(":")[2] not in row
        assert "wonderland" not in row
        assert "state-of-this-test" not in row


def forged(asking: Asking, **changes: Any) -> str:
    """A well signed object with members that `make_request_object` would never write."""
    import json

    now = int(asking.clock.now().timestamp())
    claims = {
        **asking.parameters(), "iss": "web", "aud": ISSUER, "exp": now + 60, "iat": now, "jti": "one", **changes,
    }  # fmt: skip
    typ = claims.pop("typ", "oauth-authz-req+jwt")
    kept = {name: value for name, value in claims.items() if value is not None}
    return sign(json.dumps(kept).encode(), KEY, typ=typ)


class TestSigned:
    """RFC 9101 §4, §6.2, §6.3, §10.5, §10.8; twins of oidcc-ensure-request-object-with-redirect-uri."""

    async def test_s42_an_object_is_taken_and_what_contradicts_it_ignored(
        self, asking: Asking
    ) -> None:
        signed = asking.object(state="signed-state", scope="openid")
        session = await asking.session()

        outcome = await asking.arrive(
            session, client_id="web", request=signed, scope="openid orders.read offline_access",
            state="another", redirect_uri="https://evil.example/", response_type="token",
        )  # fmt: skip

        assert isinstance(outcome, AskConsent)
        assert outcome.scope == {"openid"}
        answer = answered(await asking.agree(outcome, session))
        assert answer["state"] == "signed-state"

    async def test_s42_each_object_gives_one_code(self, asking: Asking) -> None:
        signed, session = asking.object(), await asking.session()

        first = await asking.arrive(session, client_id="web", request=signed)
        assert "code" in answered(await asking.agree(first, session))
        again = answered(await asking.arrive(session, client_id="web", request=signed))
        fresh = answered(await asking.arrive(session, client_id="web", request=asking.object()))

        assert (again["error"], "code" in again) == ("invalid_request", False)
        assert "code" in fresh

    async def test_s42_each_object_is_pushed_once(self, asking: Asking) -> None:
        signed = asking.object(client_id="strict", scope="openid")
        form = {"client_id": "strict", "request": signed}
        headers = asking.headers("strict")

        pushed = await asking.http.post("/par", data=form, headers=headers)
        again = await asking.http.post("/par", data=form, headers=headers)
        plain = await asking.push("strict", scope="openid")

        require_refusal(again, "invalid_request_object")
        require_refusal(plain, "invalid_request_object")
        outcome = await asking.arrive(
            await asking.session(), client_id="strict", request_uri=pushed.json()["request_uri"]
        )
        assert "code" in answered(outcome)

    @pytest.mark.parametrize(
        "changes",
        [
            {"typ": "JWT"}, {"typ": None}, {"iss": "other"}, {"iss": None}, {"client_id": "other"},
            {"aud": "https://other.example"}, {"aud": [ISSUER, "https://other.example"]}, {"aud": None},
            {"exp": None}, {"exp": 1}, {"exp": "soon"}, {"nbf": 4102444800}, {"exp": 4102444800},
            {"jti": 7}, {"jti": ""}, {"request": "x"}, {"request_uri": "https://x.example"}, {"max_age": {}},
            {"state": ["a", "b"]},
        ],
    )  # fmt: skip
    async def test_s42_another_object_is_refused_at_the_client(
        self, asking: Asking, changes: dict[str, Any]
    ) -> None:
        signed = forged(asking, **changes)

        outcome = await asking.ask(await asking.session(), request=signed)
        pushed = await asking.push(request=signed)

        if isinstance(outcome, ShowError):
            # Two of a parameter: no address in it can be relied on.
            assert "state" in changes
        else:
            assert answered(outcome)["error"] == "invalid_request_object"
        assert pushed.status_code == 400
        # The honest twin.
        assert isinstance(
            await asking.ask(await asking.session(), request=forged(asking)), AskConsent
        )

    async def test_s42_unsigned_or_by_another_key_it_is_refused(self, asking: Asking) -> None:
        """Twins of oidcc-unsigned-request-object and oidcc-request-uri-unsigned: refused properly."""
        other = asking.object(SigningKey.generate(Algorithm.ES256))
        header, payload, _ = asking.object().split(".")
        unsigned = f"eyJhbGciOiJub25lIiwidHlwIjoib2F1dGgtYXV0aHotcmVxK2p3dCJ9.{payload}."

        for text in (other, unsigned, f"{header}.{payload}.", "x", "a.b.c", "é" * 9):
            outcome = await asking.ask(request=text)
            assert answered(outcome)["error"] == "invalid_request_object"
            shown = await asking.arrive(client_id="web", request=text)
            assert isinstance(shown, ShowError)
        no_keys = await asking.ask(client_id="other", request=asking.object(client_id="other"))
        assert answered(no_keys)["error"] == "invalid_request_object"

    async def test_nothing_is_fetched_but_what_was_registered(
        self, asking: Asking, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """OIDC Core §6.2: off unless a client registers an address."""
        fetcher = asking.server._site._authorize.arrivals.fetcher
        asked: list[str] = []
        body = asking.object()

        def get(_: Fetcher, url: str) -> Fetched:
            asked.append(url)
            return Fetched(200, {}, body.encode())

        monkeypatch.setattr(type(fetcher), "get", get)
        for uri in (
            "https://evil.example/",
            "http://169.254.169.254/",
            "https://app.example/request.jwt#x",
        ):
            assert (
                answered(await asking.ask(request_uri=uri))["error"] == "request_uri_not_supported"
            )
        assert asked == []
        both = await asking.ask(request_uri="https://app.example/request.jwt", request=body)
        assert isinstance(both, ShowError)
        outcome = await asking.ask(request_uri="https://app.example/request.jwt")
        assert isinstance(outcome, AskLogin)
        assert asked == ["https://app.example/request.jwt"]


async def test_a_proof_at_the_push_binds_the_code(asking: Asking) -> None:
    """RFC 9449 §10.1."""
    from mintmark.protocol.dpop import make_proof

    key = SigningKey.generate(Algorithm.ES256)

    def proof() -> str:
        made = make_proof(key, htm="POST", htu=f"{ISSUER}/par", now=asking.clock.now())
        return made.reveal()

    form = asking.parameters(client_id="other")
    headers = asking.headers("other")
    wrong = await asking.http.post(
        "/par", data={**form, "dpop_jkt": "t" * 43}, headers={**headers, "dpop": proof()}
    )
    right = await asking.http.post("/par", data=form, headers={**headers, "dpop": proof()})
    outcome = await asking.arrive(
        await asking.session(), client_id="other", request_uri=right.json()["request_uri"]
    )
    bearer = await asking.token(
        "other", grant_type="authorization_code", code=answered(outcome)["code"], redirect_uri=CALLBACK,
        code_verifier="x" * 43,
    )  # fmt: skip

    require_refusal(wrong, "invalid_dpop_proof")
    require_refusal(bearer, "invalid_grant")
    assert asking.events.events[-1].reason == "bound to another key"  # type: ignore[attr-defined]  # -- a refusal


class TestResponseModes:
    """OAuth 2.0 Form Post Response Mode §2, JARM §2.1 and §2.3; twins of the form-post plan."""

    @pytest.mark.parametrize("mode", ["query", "form_post"])
    async def test_oidcc_server_answers_as_it_is_asked(self, asking: Asking, mode: str) -> None:
        session = await asking.session()

        good = await asking.agree(await asking.ask(session, response_mode=mode), session)
        bad = await asking.ask(prompt="none", response_mode=mode)

        assert isinstance(good, PostBack) == (mode == "form_post")
        assert {"code", "state", "iss"} == answered(good).keys()
        assert isinstance(bad, type(good))
        assert answered(bad)["error"] == "login_required"

    @pytest.mark.parametrize("mode", ["jwt", "query.jwt", "form_post.jwt"])
    async def test_a_signed_answer_is_for_its_client(self, asking: Asking, mode: str) -> None:
        from mintmark.jose.errors import JoseError
        from mintmark.jose.key_set import KeySet
        from mintmark.protocol.jarm import check_response_jwt

        session, keys = (
            await asking.session(),
            KeySet.parse((await asking.http.get("/jwks")).content),
        )
        good = await asking.agree(await asking.ask(session, response_mode=mode), session)
        bad = await asking.ask(prompt="none", response_mode=mode)

        assert isinstance(good, PostBack) == (mode == "form_post.jwt")
        assert answered(good).keys() == {"response"}
        now = asking.clock.now().timestamp()
        for outcome, error in ((good, None), (bad, "login_required")):
            said = check_response_jwt(
                answered(outcome)["response"], issuer=ISSUER, client_id="web", keys=keys, now=now
            )
            assert (said.error, said.code is None) == (error, error is not None)
            assert said.state is not None
            assert said.state.reveal() == "state-of-this-test"
        with pytest.raises(JoseError):
            check_response_jwt(
                answered(good)["response"], issuer=ISSUER, client_id="other", keys=keys, now=now
            )

    async def test_an_unknown_mode_and_an_address_without_forms(self, asking: Asking) -> None:
        assert answered(await asking.ask(response_mode="fragment"))["error"] == "invalid_request"
        native = await asking.ask(
            client_id="other", redirect_uri="com.example.app:/done", response_mode="form_post"
        )
        assert isinstance(native, Redirect)
        assert "error=invalid_request" in native.url
