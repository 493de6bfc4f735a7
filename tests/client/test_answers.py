"""What comes back: posted and signed answers (JARM), ID tokens, UserInfo."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from tests.client.signing_in import SignIns
from tests.jose.forge import compact

from mintmark.client import (
    AuthorityUnavailable,
    Client,
    LoginFailed,
    LoginFlow,
    MemoryUserTokens,
    RegisteredResponses,
    ResponseMode,
    TokenRefused,
)
from mintmark.jose.algorithms import Algorithm
from mintmark.jose.base64url import decode, encode
from mintmark.jose.decryption_keys import DecryptionKey, DecryptionKeys
from mintmark.jose.jws import parse
from mintmark.jose.key_management import KeyManagement
from mintmark.jose.keys import SigningKey
from mintmark.protocol.id_token import at_hash_of
from mintmark.secret import Secret
from mintmark.testing.authority import Fault

OWN = DecryptionKey.generate(KeyManagement.RSA_OAEP_256, kid="own")
OTHER = DecryptionKey.generate(KeyManagement.RSA_OAEP_256, kid="own")
OTHERS = SigningKey.generate(Algorithm.ES256)
RING = DecryptionKeys.of(OWN)
ENCRYPTED = KeyManagement.RSA_OAEP_256


class TestPosted:
    """OAuth 2.0 Form Post Response Mode §2: the body of the form is judged as a query is."""

    def test_form_post(self, sign_ins: SignIns) -> None:
        signed_in = sign_ins.sign_in(sign_ins.flow(response_mode=ResponseMode.FORM_POST))

        assert signed_in.id_token.sub == "alice"
        assert sign_ins.asked()["response_mode"] == ("form_post",)


class TestSigned:
    """JARM §2.3, JARM §2.4."""

    @pytest.fixture(params=["jwt", "query.jwt", "form_post.jwt"])
    def mode(self, request: pytest.FixtureRequest) -> ResponseMode:
        return ResponseMode(request.param)

    def test_an_honest_answer_signs_in(self, sign_ins: SignIns, mode: ResponseMode) -> None:
        flow = sign_ins.flow(response_mode=mode)
        attempt = flow.begin()
        answer = sign_ins.front.authorize(attempt.url)

        assert parse_qs(answer).keys() == {"response"}
        assert flow.state_of(answer) == attempt.state
        assert flow.finish(answer, attempt).id_token.sub == "alice"

    @pytest.mark.parametrize(
        "changes",
        [
            {"iss": "https://evil.example"}, {"iss": None}, {"aud": "other"}, {"aud": None},
            {"aud": ["client", "other"]}, {"aud": []}, {"exp": None}, {"exp": "x"}, {"exp": True},
            {"exp": 1}, {"exp": 10**15}, {"state": "another"}, {"state": None}, {"state": 5},
            {"code": None}, {"code": 5}, {"code": ["x"]}, {"error": "access_denied"}, {"nonce": "x"},
        ],
        ids=lambda changes: "-".join(f"{name}={value!r:.20}" for name, value in changes.items()),
    )  # fmt: skip
    def test_s17_a_wrong_answer_signs_nobody_in(
        self, sign_ins: SignIns, changes: dict[str, Any]
    ) -> None:
        sign_ins.front.answer_changes = changes
        with pytest.raises(LoginFailed):
            sign_ins.sign_in(sign_ins.flow(response_mode=ResponseMode.JWT))
        assert sign_ins.authority.counts["authorization_code"] == 0

    @pytest.mark.parametrize(("ahead", "holds"), [(-29, True), (-30, False)])
    def test_it_ends_on_the_second(self, sign_ins: SignIns, ahead: int, *, holds: bool) -> None:
        flow = sign_ins.flow(response_mode=ResponseMode.JWT)
        sign_ins.front.answer_changes = {"exp": int(sign_ins.clock.timestamp()) + ahead}
        if holds:
            assert sign_ins.sign_in(flow).id_token.sub == "alice"
        else:
            with pytest.raises(LoginFailed, match="exp"):
                sign_ins.sign_in(flow)

    def test_another_key_or_kind_signs_nobody_in(self, sign_ins: SignIns) -> None:
        flow = sign_ins.flow(response_mode=ResponseMode.JWT)
        sign_ins.front.answer_typ = "at+jwt"
        with pytest.raises(LoginFailed):
            sign_ins.sign_in(flow)
        sign_ins.front.answer_typ = "oauth-authz-resp+jwt"
        assert sign_ins.sign_in(flow).id_token.sub == "alice"
        sign_ins.front.answer_key = OTHERS
        with pytest.raises(LoginFailed):
            sign_ins.sign_in(flow)

    def test_the_registered_algorithm_and_no_other(self, sign_ins: SignIns) -> None:
        pinned = RegisteredResponses(authorization_signed_response_alg=Algorithm.PS256)
        flow = sign_ins.flow(sign_ins.client(responses=pinned), response_mode=ResponseMode.JWT)
        with pytest.raises(LoginFailed, match="alg"):
            sign_ins.sign_in(flow)

    def test_what_the_servers_metadata_does_not_name_is_refused(self, sign_ins: SignIns) -> None:
        members = {"authorization_signing_alg_values_supported": ["none", "HS256", "PS256"]}
        sign_ins.authority.metadata_changes |= members
        with pytest.raises(LoginFailed, match="alg"):
            sign_ins.sign_in(sign_ins.flow(response_mode=ResponseMode.JWT))

    def test_an_unsigned_answer_is_none(self, sign_ins: SignIns) -> None:
        """Whoever could take the signature off could say what they like."""
        flow, plain = sign_ins.flow(response_mode=ResponseMode.JWT), sign_ins.flow()
        attempt = plain.begin()
        answer = sign_ins.front.authorize(attempt.url)
        for wrong in (answer, "", "response=", "response=a.b.c", "response=" + "a" * 40_000):
            with pytest.raises(LoginFailed):
                flow.finish(wrong, attempt)
            with pytest.raises(LoginFailed):
                flow.state_of(wrong)
        claims = {n: v[0] for n, v in parse_qs(answer).items()} | {"aud": "client", "exp": 2**33}
        unsigned = compact({"alg": "none"}, json.dumps(claims).encode()).rpartition(".")[0] + "."
        with pytest.raises(LoginFailed):
            flow.finish(urlencode({"response": unsigned}), attempt)

    def test_a_signed_answer_is_none_where_none_was_asked_for(self, sign_ins: SignIns) -> None:
        signed, plain = sign_ins.flow(response_mode=ResponseMode.JWT), sign_ins.flow()
        attempt = signed.begin()
        with pytest.raises(LoginFailed):
            plain.finish(sign_ins.front.authorize(attempt.url), attempt)

    def test_a_refusal_is_signed_too(self, sign_ins: SignIns) -> None:
        sign_ins.front.answer_changes = {"code": None, "error": "access_denied"}
        with pytest.raises(LoginFailed) as failure:
            sign_ins.sign_in(sign_ins.flow(response_mode=ResponseMode.JWT))

        assert failure.value.error == "access_denied"

    def test_encrypted_to_this_client(self, sign_ins: SignIns) -> None:
        sign_ins.front.encrypt_to = OWN.public
        readable = RegisteredResponses(decryption_keys=RING)
        flow = sign_ins.flow(sign_ins.client(responses=readable), response_mode=ResponseMode.JWT)
        attempt = flow.begin()
        answer = sign_ins.front.authorize(attempt.url)

        assert flow.state_of(answer) == attempt.state
        assert flow.finish(answer, attempt).id_token.sub == "alice"
        with pytest.raises(LoginFailed, match="no key"):
            sign_ins.sign_in(sign_ins.flow(response_mode=ResponseMode.JWT))
        sign_ins.front.encrypt_to = OTHER.public
        with pytest.raises(LoginFailed):
            sign_ins.sign_in(flow)


class TestIdTokens:
    """OIDC Core §3.1.3.7 (1), (4)-(7), OIDC Core §3.3.2.11, OIDC Core §3.1.2.1."""

    def encrypted(self, sign_ins: SignIns) -> Client:
        sign_ins.front.encrypt_to = OWN.public
        registered = RegisteredResponses(
            decryption_keys=RING, id_token_encrypted_response_alg=ENCRYPTED
        )
        return sign_ins.client(responses=registered)

    def test_an_encrypted_one_is_opened_and_its_signed_form_kept(self, sign_ins: SignIns) -> None:
        """A server takes the signed one as a hint, and could not read the other."""
        signed_in = sign_ins.sign_in(sign_ins.flow(self.encrypted(sign_ins)))

        assert signed_in.id_token.sub == "alice"
        assert signed_in.tokens.id_token is not None
        assert signed_in.tokens.id_token.reveal().count(".") == 2

    def test_a_refreshed_one_as_well(self, sign_ins: SignIns) -> None:
        client, store, session = self.encrypted(sign_ins), MemoryUserTokens(), Secret.generate()
        store.begin(session, sign_ins.sign_in(sign_ins.flow(client)).tokens)
        sign_ins.clock.advance(timedelta(minutes=11))

        client.user_token(session, store, resource="https://api.example").token()
        tokens = store.load(session)
        assert tokens is not None
        assert tokens.id_token is not None
        assert tokens.id_token.reveal().count(".") == 2

    def test_a_plain_one_is_refused_where_encryption_was_registered(
        self, sign_ins: SignIns
    ) -> None:
        client = self.encrypted(sign_ins)
        sign_ins.front.encrypt_to = None
        with pytest.raises(LoginFailed, match="not encrypted"):
            sign_ins.sign_in(sign_ins.flow(client))

    def test_an_encrypted_one_without_a_key_or_for_another_is_refused(
        self, sign_ins: SignIns
    ) -> None:
        client = self.encrypted(sign_ins)
        with pytest.raises(LoginFailed, match="no key"):
            sign_ins.sign_in(sign_ins.flow())
        sign_ins.front.encrypt_to = OTHER.public
        with pytest.raises(LoginFailed):
            sign_ins.sign_in(sign_ins.flow(client))

    def test_encryption_that_nobody_here_can_open_is_a_mistake(self) -> None:
        with pytest.raises(ValueError, match="no decryption key"):
            RegisteredResponses(id_token_encrypted_response_alg=ENCRYPTED)
        with pytest.raises(ValueError, match="no decryption key"):
            RegisteredResponses(
                userinfo_encrypted_response_alg=KeyManagement.ECDH_ES, decryption_keys=RING
            )

    def test_the_registered_algorithm_and_no_other(self, sign_ins: SignIns) -> None:
        for alg, holds in ((Algorithm.ES256, True), (Algorithm.RS256, False)):
            pinned = RegisteredResponses(id_token_signed_response_alg=alg)
            flow = sign_ins.flow(sign_ins.client(responses=pinned))
            if holds:
                assert sign_ins.sign_in(flow).id_token.sub == "alice"
            else:
                with pytest.raises(LoginFailed, match="alg"):
                    sign_ins.sign_in(flow)

    def test_what_the_servers_metadata_does_not_name_is_refused(self, sign_ins: SignIns) -> None:
        sign_ins.authority.metadata_changes["id_token_signing_alg_values_supported"] = ["RS256"]
        with pytest.raises(LoginFailed, match="alg"):
            sign_ins.sign_in(sign_ins.flow())

    @pytest.mark.parametrize(
        "changes",
        [{"azp": "other"}, {"aud": ["client", "other"]}, {"aud": "other"}, {"c_hash": "x"},
         {"at_hash": "x"}, {"nonce": "x"}, {"c_hash": 5}, {"iss": "https://evil.example"}],
        ids=lambda changes: "-".join(f"{name}={value!r:.20}" for name, value in changes.items()),
    )  # fmt: skip
    def test_s17_a_wrong_claim_signs_nobody_in(
        self, sign_ins: SignIns, changes: dict[str, Any]
    ) -> None:
        sign_ins.front.id_token_changes = changes
        with pytest.raises(LoginFailed, match="ID token"):
            sign_ins.sign_in(sign_ins.flow())

    def test_the_hash_of_this_code_holds(self, sign_ins: SignIns) -> None:
        """OIDC Core §3.3.2.11: not needed here, and looked at where it stands."""
        flow = sign_ins.flow()
        attempt = flow.begin()
        answer = sign_ins.front.authorize(attempt.url)
        code = Secret(parse_qs(answer)["code"][0])
        sign_ins.front.id_token_changes = {"c_hash": at_hash_of(code, Algorithm.ES256)}

        assert flow.finish(answer, attempt).id_token.sub == "alice"
        with pytest.raises(LoginFailed, match="c_hash"):
            sign_ins.sign_in(flow)


class TestUserInfo:
    """OIDC Core §5.3: about this person, from this server, for this client."""

    def token_of(self, sign_ins: SignIns, client: Client) -> Secret:
        (held,) = sign_ins.sign_in(sign_ins.flow(client)).tokens.access_tokens
        return held.access_token

    @pytest.mark.parametrize("signed", [False, True], ids=["plain", "signed"])
    def test_claims_of_the_person(self, sign_ins: SignIns, *, signed: bool) -> None:
        client = sign_ins.client()
        sign_ins.front.userinfo = {"email": "alice@shop.example"}
        sign_ins.front.userinfo_signed = signed
        claims = client.userinfo(self.token_of(sign_ins, client), subject="alice")

        assert (claims["sub"], claims["email"]) == ("alice", "alice@shop.example")

    @pytest.mark.parametrize("signed", [False, True], ids=["plain", "signed"])
    @pytest.mark.parametrize("sub", ["mallory", "Alice", None, 5, ""])
    def test_claims_of_somebody_else_are_refused(
        self, sign_ins: SignIns, sub: Any, *, signed: bool
    ) -> None:
        """OIDC Core §5.3.4: a token of somebody else may have been put in this one's place."""
        client = sign_ins.client()
        sign_ins.front.userinfo = {"sub": sub}
        sign_ins.front.userinfo_signed = signed
        with pytest.raises(TokenRefused, match="another person"):
            client.userinfo(self.token_of(sign_ins, client), subject="alice")

    @pytest.mark.parametrize(
        "claims", [{"iss": "https://evil.example"}, {"iss": None}, {"aud": "other"}, {"aud": None}],
        ids=str,
    )  # fmt: skip
    def test_a_signed_answer_of_or_for_somebody_else_is_refused(
        self, sign_ins: SignIns, claims: dict[str, Any]
    ) -> None:
        """OIDC Core §5.3.2."""
        client = sign_ins.client()
        token = self.token_of(sign_ins, client)
        sign_ins.front.userinfo_signed = True
        sign_ins.front.userinfo = claims
        with pytest.raises(TokenRefused, match="invalid_userinfo"):
            client.userinfo(token, subject="alice")

    def test_another_key_is_refused(self, sign_ins: SignIns) -> None:
        client = sign_ins.client()
        token = self.token_of(sign_ins, client)
        sign_ins.front.userinfo_signed, sign_ins.front.answer_key = True, OTHERS
        with pytest.raises(TokenRefused, match="invalid_userinfo"):
            client.userinfo(token, subject="alice")

    def test_registered_as_signed_or_encrypted_it_is_never_plain(self, sign_ins: SignIns) -> None:
        signed = RegisteredResponses(userinfo_signed_response_alg=Algorithm.ES256)
        encrypted = RegisteredResponses(
            decryption_keys=RING, userinfo_encrypted_response_alg=ENCRYPTED
        )
        for registered in (signed, encrypted):
            client = sign_ins.client(responses=registered)
            token = self.token_of(sign_ins, client)
            with pytest.raises(TokenRefused, match="registered"):
                client.userinfo(token, subject="alice")
            sign_ins.front.userinfo_signed = True
            sign_ins.front.encrypt_to = None if registered is signed else OWN.public
            assert client.userinfo(token, subject="alice")["sub"] == "alice"
            sign_ins.front.userinfo_signed, sign_ins.front.encrypt_to = False, None

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Fault(status=401, headers={"www-authenticate": 'Bearer error="invalid_token"'}), "invalid_token"),
            (Fault(status=403, headers={"www-authenticate": 'Bearer error="insufficient_scope"'}), "insufficient_scope"),
            (Fault(status=404, body=b""), "unreadable_response"),
            (Fault(body=b"nonsense"), "invalid_userinfo"),
            (Fault(body=b'["sub"]'), "invalid_userinfo"),
            (Fault(body=b"\xff.\xff.", headers={"content-type": "application/jwt"}), "invalid_userinfo"),
            (Fault(body=b"a.b.c.d.e", headers={"content-type": "application/jwt"}), "invalid_userinfo"),
        ],
        ids=["401", "403", "404", "nonsense", "list", "octets", "encrypted"],
    )  # fmt: skip
    def test_any_other_answer_is_a_refusal(
        self, sign_ins: SignIns, fault: Fault, error: str
    ) -> None:
        """OIDC Core §5.3.3."""
        client = sign_ins.client()
        token = self.token_of(sign_ins, client)
        sign_ins.authority.lies["/userinfo"] = fault
        with pytest.raises(TokenRefused) as refusal:
            client.userinfo(token, subject="alice")
        assert refusal.value.error == error

    def test_a_server_that_is_down_may_be_better_in_a_moment(self, sign_ins: SignIns) -> None:
        client = sign_ins.client()
        token = self.token_of(sign_ins, client)
        sign_ins.authority.lies["/userinfo"] = Fault(status=503)
        with pytest.raises(AuthorityUnavailable):
            client.userinfo(token, subject="alice")


def test_s17_a_code_that_comes_back_twice_signs_in_once(sign_ins: SignIns) -> None:
    flow: LoginFlow = sign_ins.flow()
    attempt = flow.begin()
    answer = sign_ins.front.authorize(attempt.url)
    flow.finish(answer, attempt)
    with pytest.raises(LoginFailed, match="code was refused") as failure:
        flow.finish(answer, attempt)

    assert failure.value.error == "invalid_grant"
    for twice in (f"{answer}&code=x", f"{answer}&state={attempt.state.reveal()}"):
        with pytest.raises(LoginFailed):
            flow.finish(twice, attempt)


def test_s17_a_changed_octet_of_a_signed_answer_signs_nobody_in(sign_ins: SignIns) -> None:
    flow = sign_ins.flow(response_mode=ResponseMode.QUERY_JWT)
    attempt = flow.begin()
    token = parse_qs(sign_ins.front.authorize(attempt.url))["response"][0]
    head, payload, signature = token.split(".")
    changed = json.loads(decode(payload)) | {"code": "x"}
    for wrong in (
        f"{head}.{encode(json.dumps(changed).encode())}.{signature}",
        f"{head}.{payload}.{encode(decode(signature)[::-1])}",
    ):
        assert parse(wrong).header.kid is not None
        with pytest.raises(LoginFailed):
            flow.finish(urlencode({"response": wrong}), attempt)
