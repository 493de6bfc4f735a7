"""How a sign-in is asked for: parameters, pushed (RFC 9126) and signed (RFC 9101) requests."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.client.signing_in import API, CALLBACK, SignIns

from mintmark.client import (
    AuthorityUnavailable,
    ClientProof,
    LoginFailed,
    PrivateKeyJwt,
    PublicClient,
    RequestSigning,
)
from mintmark.client.proof import ClientSecret
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.decryption_keys import DecryptionKey, DecryptionKeys
from mintmark.jose.jws import parse
from mintmark.jose.key_management import KeyManagement
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.protocol.client_authentication import ClientAuthenticationMethod
from mintmark.secret import Secret
from mintmark.testing.authority import Fault

KEY = SigningKey.generate(Algorithm.ES256)
DETAILS = {"type": "payment", "amount": {"currency": "EUR", "value": "5.00"}}


class TestParameters:
    """OIDC Core §3.1.2.1, OIDC Core §5.5, RFC 9396 §2, RFC 9449 §10."""

    def test_every_option_reaches_the_server(self, sign_ins: SignIns) -> None:
        hint = Secret("an-id-token-of-last-week")
        sign_ins.front.id_token_changes = {"acr": "gold"}
        sign_ins.sign_in(
            sign_ins.flow(),
            acr_values=("gold", "silver"), max_age=timedelta(minutes=5), login_hint="alice@x.example",
            id_token_hint=hint, ui_locales="de en", display="page", dpop_jkt="t" * 43,
            claims={"userinfo": {"email": None}}, authorization_details=[DETAILS],
            extra={"audience": "https://other.example", "tenant": "ä b"},
        )  # fmt: skip
        asked = sign_ins.asked()

        assert asked["acr_values"] == ("gold silver",)
        assert asked["max_age"] == ("300",)
        assert asked["login_hint"] == ("alice@x.example",)
        assert asked["id_token_hint"] == (hint.reveal(),)
        assert (asked["ui_locales"], asked["display"]) == (("de en",), ("page",))
        assert asked["dpop_jkt"] == ("t" * 43,)
        assert json.loads(asked["claims"][0]) == {"userinfo": {"email": None}}
        assert json.loads(asked["authorization_details"][0]) == [DETAILS]
        assert (asked["audience"], asked["tenant"]) == (("https://other.example",), ("ä b",))

    def test_what_nobody_asked_for_is_not_sent(self, sign_ins: SignIns) -> None:
        sign_ins.sign_in(sign_ins.flow())

        assert sign_ins.asked().keys() == {
            "response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "resource",
            "code_challenge", "code_challenge_method",
        }  # fmt: skip

    @pytest.mark.parametrize(
        "name",
        ["redirect_uri", "state", "nonce", "code_challenge", "scope", "response_mode", "request",
         "request_uri", "client_id", "dpop_jkt", "resource", "iss", "client_secret"],
    )  # fmt: skip
    def test_an_extra_parameter_overrides_nothing(self, sign_ins: SignIns, name: str) -> None:
        with pytest.raises(ValueError, match=name):
            sign_ins.flow().begin(extra={name: "x"})

    def test_details_say_their_type(self, sign_ins: SignIns) -> None:
        with pytest.raises(ValueError, match="type"):
            sign_ins.flow().begin(authorization_details=[{"amount": 5}])

    def test_the_granted_details_come_back(self, sign_ins: SignIns) -> None:
        """RFC 9396 §7: they may be other than what was asked for."""
        sign_ins.front.granted_details = [DETAILS | {"amount": "less"}]
        signed_in = sign_ins.sign_in(sign_ins.flow(), authorization_details=[DETAILS])

        assert signed_in.authorization_details == (DETAILS | {"amount": "less"},)
        sign_ins.front.granted_details = None
        assert sign_ins.sign_in(sign_ins.flow()).authorization_details is None

    @pytest.mark.parametrize("found", [[5], [{}], [{"type": 5}], [None]], ids=str)
    def test_details_that_cannot_be_read_sign_nobody_in(
        self, sign_ins: SignIns, found: list[Any]
    ) -> None:
        sign_ins.front.granted_details = found
        with pytest.raises(LoginFailed):
            sign_ins.sign_in(sign_ins.flow())

    def test_s05_several_resources_the_first_by_code_and_the_others_by_refresh(
        self, sign_ins: SignIns
    ) -> None:
        """RFC 8707 §2.2."""
        other = "https://other.example"
        signed_in = sign_ins.sign_in(sign_ins.flow(resource=(other, API)))
        (held,) = signed_in.tokens.access_tokens

        assert sign_ins.asked()["resource"] == (API, other)
        assert held.resource == {API}
        assert json.loads(parse(held.access_token.reveal()).payload)["aud"] == API
        assert signed_in.tokens.refresh_token is not None


class TestPushed:
    """RFC 9126 §2.1, RFC 9126 §4: pushed where that is offered, and never otherwise then."""

    def test_a_server_that_offers_it_is_used_so(self, sign_ins: SignIns) -> None:
        sign_ins.offer_par()
        flow = sign_ins.flow()
        attempt = flow.begin()
        query = parse_qs(urlsplit(attempt.url).query)
        signed_in = flow.finish(sign_ins.front.authorize(attempt.url), attempt)

        assert query.keys() == {"client_id", "request_uri"}
        assert query["client_id"] == ["client"]
        assert attempt.url_ends == sign_ins.clock.now() + timedelta(seconds=60)
        assert signed_in.id_token.sub == "alice"
        assert sign_ins.asked()["redirect_uri"] == (CALLBACK,)
        assert sign_ins.authority.counts["par"] == 1

    @pytest.mark.parametrize(
        ("proof", "method"),
        [
            (ClientSecret(Secret("s" * 40)), ClientAuthenticationMethod.CLIENT_SECRET_BASIC),
            (ClientSecret(Secret("s" * 40), ClientAuthenticationMethod.CLIENT_SECRET_POST),
             ClientAuthenticationMethod.CLIENT_SECRET_POST),
            (PrivateKeyJwt(KEY), ClientAuthenticationMethod.PRIVATE_KEY_JWT),
            (PublicClient(), ClientAuthenticationMethod.NONE),
        ],
        ids=["basic", "post", "private_key_jwt", "public"],
    )  # fmt: skip
    def test_the_client_proves_itself_as_at_the_token_endpoint(
        self, sign_ins: SignIns, proof: ClientProof, method: ClientAuthenticationMethod
    ) -> None:
        """Each way has `client_id` in the form once: RFC 6749 §3.2."""
        sign_ins.offer_par()

        assert (
            sign_ins.sign_in(sign_ins.flow(sign_ins.client(proof=proof))).tokens.subject == "alice"
        )
        (who,) = sign_ins.front.pushes
        assert (who.method, who.client_id) == (method, "client")
        assert sign_ins.asked()["client_id"] == ("client",)

    def test_w101_each_push_has_a_proof_of_its_own(self, sign_ins: SignIns) -> None:
        sign_ins.offer_par()
        flow = sign_ins.flow(sign_ins.client(proof=PrivateKeyJwt(KEY)))
        for _ in range(2):
            flow.begin()
        first, second = (one.assertion for one in sign_ins.front.pushes)

        assert first is not None
        assert second is not None
        assert first != second

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(status=400, body=b'{"error":"invalid_request"}'),
            Fault(status=401, body=b'{"error":"invalid_client"}'),
            Fault(status=404, body=b"<html>"),
            Fault(status=405),
        ],
        ids=["400", "401", "404", "405"],
    )
    def test_a_refused_request_is_not_sent_in_another_way(
        self, sign_ins: SignIns, fault: Fault
    ) -> None:
        sign_ins.offer_par()
        sign_ins.front.par_faults = [fault]
        with pytest.raises(LoginFailed) as failure:
            sign_ins.flow().begin()

        assert "pushed request" in failure.value.reason

    def test_a_server_that_is_down_is_not_gone_around(self, sign_ins: SignIns) -> None:
        sign_ins.offer_par()
        flow = sign_ins.flow()
        sign_ins.front.par_faults = [
            Fault(status=503, headers={"retry-after": "7"}), Fault(status=429), Fault(status=500)
        ]  # fmt: skip
        with pytest.raises(AuthorityUnavailable) as failure:
            flow.begin()
        assert failure.value.retry_after == timedelta(seconds=7)
        for _ in range(2):
            with pytest.raises(AuthorityUnavailable):
                flow.begin()
        assert "request_uri" in flow.begin().url

    @pytest.mark.parametrize(
        "changes",
        [
            {"request_uri": None}, {"request_uri": ""}, {"request_uri": 5}, {"request_uri": "urn"},
            {"request_uri": "urn:a b"}, {"request_uri": "urn:\n"}, {"request_uri": "urn:é"},
            {"request_uri": "urn:" + "a" * 509}, {"request_uri": ":x"},
            {"expires_in": None}, {"expires_in": 0}, {"expires_in": -1}, {"expires_in": "60"},
            {"expires_in": 1.5}, {"expires_in": True}, {"expires_in": 10**12},
        ],
        ids=lambda changes: "-".join(f"{name}={value!r:.12}" for name, value in changes.items()),
    )  # fmt: skip
    def test_an_answer_that_names_no_request_begins_no_sign_in(
        self, sign_ins: SignIns, changes: dict[str, Any]
    ) -> None:
        """RFC 9126 §2.2."""
        sign_ins.offer_par()
        sign_ins.front.par_changes = changes
        with pytest.raises(LoginFailed):
            sign_ins.flow().begin()

    def test_the_longest_name_is_taken(self, sign_ins: SignIns) -> None:
        """RFC 9101 §5.2: 512 characters."""
        sign_ins.offer_par()
        sign_ins.front.par_changes = {"request_uri": "urn:" + "a" * 508, "expires_in": 1}

        assert "a" * 508 in sign_ins.flow().begin().url

    @pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b"\xff", b"[" * 10_000])
    def test_no_json_begins_no_sign_in(self, sign_ins: SignIns, body: bytes) -> None:
        sign_ins.offer_par()
        sign_ins.front.par_faults = [Fault(status=201, body=body)]
        with pytest.raises(LoginFailed):
            sign_ins.flow().begin()

    @pytest.mark.parametrize("by", ["client", "server"])
    def test_without_the_endpoint_there_is_no_sign_in_where_it_is_required(
        self, sign_ins: SignIns, by: str
    ) -> None:
        required = by == "server"
        sign_ins.authority.metadata_changes["require_pushed_authorization_requests"] = required
        with pytest.raises(AuthorityUnavailable, match="pushed"):
            sign_ins.flow(par=not required).begin()


class TestSigned:
    """RFC 9101 §4, RFC 9101 §5: the request in a JWT that only this client can have made."""

    def claims(self, url: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            parse(parse_qs(urlsplit(url).query)["request"][0]).payload
        )
        return found

    def test_by_value_the_address_says_nothing_else(self, sign_ins: SignIns) -> None:
        sign_ins.front.client_keys = KeySet.of(KEY.public)
        flow = sign_ins.flow(
            request_signing=RequestSigning(key=KEY), resource=(API, "https://b.example")
        )
        attempt = flow.begin(
            max_age=timedelta(hours=1), claims={"id_token": {"email": None}}, authorization_details=[DETAILS]
        )  # fmt: skip
        query = parse_qs(urlsplit(attempt.url).query)
        claims, now = self.claims(attempt.url), int(sign_ins.clock.timestamp())

        assert query.keys() == {"client_id", "request"}
        assert parse(query["request"][0]).header.typ == "oauth-authz-req+jwt"
        assert (claims["iss"], claims["aud"]) == ("client", sign_ins.authority.issuer)
        assert (claims["nbf"], claims["exp"]) == (now, now + 300)
        assert "sub" not in claims
        assert claims["max_age"] == 3600
        assert claims["claims"] == {"id_token": {"email": None}}
        assert claims["authorization_details"] == [DETAILS]
        assert claims["resource"] == [API, "https://b.example"]
        assert flow.finish(sign_ins.front.authorize(attempt.url), attempt).id_token.sub == "alice"

    def test_every_request_has_a_jti_of_its_own(self, sign_ins: SignIns) -> None:
        flow = sign_ins.flow(request_signing=RequestSigning(key=KEY))

        assert self.claims(flow.begin().url)["jti"] != self.claims(flow.begin().url)["jti"]

    def test_pushed_with_the_key_of_the_clients_own_proof(self, sign_ins: SignIns) -> None:
        sign_ins.offer_par()
        sign_ins.front.client_keys = KeySet.of(KEY.public)
        client = sign_ins.client(proof=PrivateKeyJwt(lambda: KEY))

        sign_ins.sign_in(sign_ins.flow(client, request_signing=RequestSigning()))
        assert sign_ins.asked()["redirect_uri"] == (CALLBACK,)

    def test_a_server_that_wants_it_gets_it(self, sign_ins: SignIns) -> None:
        sign_ins.authority.metadata_changes["require_signed_request_object"] = True
        signing = sign_ins.flow(sign_ins.client(proof=PrivateKeyJwt(KEY)))

        assert "request=" in signing.begin().url
        with pytest.raises(LoginFailed, match="no key"):
            sign_ins.flow().begin()

    def test_a_key_the_server_does_not_take_is_said_at_once(self, sign_ins: SignIns) -> None:
        name = "request_object_signing_alg_values_supported"
        sign_ins.authority.metadata_changes[name] = ["PS256"]
        with pytest.raises(LoginFailed, match="ES256"):
            sign_ins.flow(request_signing=RequestSigning(key=KEY)).begin()
        sign_ins.authority.metadata_changes[name] = ["PS256", "ES256"]
        assert "request=" in sign_ins.flow(request_signing=RequestSigning(key=KEY)).begin().url

    def test_encrypted_for_the_server(self, sign_ins: SignIns) -> None:
        """RFC 9101 §6.1: signed first, then encrypted."""
        theirs = DecryptionKey.generate(KeyManagement.ECDH_ES, kid="server")
        sign_ins.front.request_keys = DecryptionKeys.of(theirs)
        sign_ins.front.client_keys = KeySet.of(KEY.public)
        signing = RequestSigning(
            key=KEY, encryption_key=theirs.public, encryption=KeyManagement.ECDH_ES
        )
        flow = sign_ins.flow(request_signing=signing)
        attempt = flow.begin()

        assert parse_qs(urlsplit(attempt.url).query)["request"][0].count(".") == 4
        assert flow.finish(sign_ins.front.authorize(attempt.url), attempt).id_token.sub == "alice"

    @pytest.mark.parametrize(
        "lifetime", [timedelta(0), timedelta(hours=1, seconds=1), timedelta(seconds=-1)], ids=str
    )
    def test_a_lifetime_is_a_second_to_an_hour(self, lifetime: timedelta) -> None:
        with pytest.raises(ValueError, match="lifetime"):
            RequestSigning(lifetime=lifetime)
        assert RequestSigning(lifetime=timedelta(hours=1)).key is None

    def test_a_key_that_cannot_be_had_is_no_unsigned_request(self, sign_ins: SignIns) -> None:
        def gone() -> SigningKey:
            raise OSError("the vault is closed, and this text could quote it")

        with pytest.raises(AuthorityUnavailable) as failure:
            sign_ins.flow(request_signing=RequestSigning(key=gone)).begin()
        assert "closed" not in str(failure.value)
