"""What a fuller authorization endpoint does: pushed and signed requests, signed and posted answers.

It stands in front of a `FakeAuthority`, whose own endpoint does the signing in.
"""

import html
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, final
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec

from mintmark.jose.content_encryption import ContentEncryption
from mintmark.jose.decryption_keys import DecryptionKeys
from mintmark.jose.encryption_keys import EncryptionKey
from mintmark.jose.jwe import decrypt, encrypt, require_nested_jws
from mintmark.jose.jws import parse, sign
from mintmark.jose.key_management import KeyManagement
from mintmark.jose.key_set import KeySet
from mintmark.jose.keys import SigningKey
from mintmark.jose.strict_json import decode_object
from mintmark.protocol.authorization import ResponseMode
from mintmark.protocol.client_authentication import ClientCredential
from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.jarm import mint_response_jwt
from mintmark.protocol.par import PushedAuthorizationResponse
from mintmark.protocol.request_object import check_request_object
from mintmark.secret import Secret
from mintmark.testing.asked import Asked, Endpoint
from mintmark.testing.authority import FakeAuthority
from mintmark.testing.faults import Fault

__all__ = ["FakeAuthorization"]

Parameters = list[tuple[str, str]]
# What the authority's own endpoint would refuse, for it does not do these things.
ANSWERED_HERE = frozenset({"response_mode", "request", "request_uri"})


@final
class FakeAuthorization:
    """Install it on an authority that serves.

    Attributes:
        requests: the parameters of each authorization request, as they were understood.
        pushes: who pushed each request.
        par_faults: answers that `/par` gives first, one each.
        par_changes: members changed in or (as None) taken from its answers.
        client_keys: what signed requests are checked with.
        request_keys: what encrypted requests are opened with.
        answer_changes: claims changed in or taken from signed answers.
        answer_key: signs them, in place of the authority's own.
        answer_typ: of signed answers.
        id_token_changes: claims changed in or taken from ID tokens.
        encrypt_to: encrypts ID tokens, signed answers and UserInfo.
        userinfo: what `/userinfo` says of whoever is signed in.
        userinfo_signed: whether it says so in a JWT.
        granted_details: `authorization_details` of token responses.
    """

    def __init__(self, authority: FakeAuthority, *, par: bool = True) -> None:
        self._authority = authority
        self.requests: list[Form] = []
        self.pushes: list[ClientCredential] = []
        self.par_faults: list[Fault] = []
        self.par_changes: dict[str, Any] = {}
        self.client_keys = KeySet.of()
        self.request_keys: DecryptionKeys | None = None
        self.answer_changes: dict[str, Any] = {}
        self.answer_key: SigningKey | None = None
        self.answer_typ = "JWT"
        self.id_token_changes: dict[str, Any] = {}
        self.encrypt_to: EncryptionKey | None = None
        self.userinfo: dict[str, Any] = {}
        self.userinfo_signed = False
        self.granted_details: list[dict[str, Any]] | None = None
        self._pushed: dict[str, Parameters] = {}
        issuer = authority.issuer
        authority.metadata_changes["userinfo_endpoint"] = f"{issuer}/userinfo"
        if par:
            authority.metadata_changes["pushed_authorization_request_endpoint"] = f"{issuer}/par"
        for path, endpoint in (
            ("/par", self._push),
            ("/authorize", self._authorize),
            ("/token", self._token),
            ("/userinfo", self._userinfo),
        ):
            authority.endpoints[path] = partial(self._said, endpoint)

    def authorize(self, url: str) -> str:
        """The query, or the form's body, that the browser comes back to the client with."""
        return self._answer(urlsplit(url).query)[2]

    def _said(self, endpoint: Endpoint, asked: Asked) -> Fault | None:
        if self._authority.down:
            return Fault(status=503, body=b"down")
        answer = endpoint(asked)
        # Whoever answers so hangs up. Said beforehand, nobody sends the next request into that.
        return answer and replace(answer, headers={"connection": "close", **answer.headers})

    def _push(self, asked: Asked) -> Fault:
        if self.par_faults:
            return self.par_faults.pop(0)
        try:
            self.pushes.append(
                ClientCredential.parse(asked.headers.get("authorization"), asked.form)
            )
            # RFC 9126 §2.1: a pushed request does not refer to another one.
            if "request_uri" in asked.form.values:
                raise OAuthError(ErrorCode.INVALID_REQUEST, "request_uri is not pushed")
            parameters = self._understood(asked.form)
        except OAuthError as refusal:
            return Fault(status=refusal.status, body=b'{"error":"%s"}' % refusal.code.encode())
        name = f"urn:ietf:params:oauth:request_uri:{secrets.token_urlsafe(16)}"
        self._pushed[name] = parameters
        answer = PushedAuthorizationResponse(request_uri=name, expires_in=timedelta(seconds=60))
        members = msgspec.json.decode(answer.to_json()) | self.par_changes
        return Fault(status=201, body=_encoded(members))

    def _authorize(self, asked: Asked) -> Fault:
        mode, redirect_uri, answer = self._answer(asked.query)
        if not mode.is_posted:
            return Fault(status=303, headers={"location": f"{redirect_uri}?{answer}"})
        fields = "".join(
            f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
            for name, value in parse_qsl(answer)
        )
        page = f'<form method="post" action="{html.escape(redirect_uri)}">{fields}</form>'
        return Fault(body=page.encode(), headers={"content-type": "text/html"})

    def _answer(self, query: str) -> tuple[ResponseMode, str, str]:
        form = Form.parse(query)
        request_uri = form.optional("request_uri", str)
        if request_uri is None:
            parameters = self._understood(form)
        else:
            # RFC 9126 §4: beside the name nothing but the client; and the name works once.
            assert form.values.keys() == {"client_id", "request_uri"}
            parameters = self._pushed.pop(request_uri)
        understood = Form.parse(urlencode(parameters))
        self.requests.append(understood)
        own = [pair for pair in parameters if pair[0] not in ANSWERED_HERE]
        location = self._authority.authorize(urlencode(own))
        mode = understood.optional("response_mode", ResponseMode) or ResponseMode.QUERY
        redirect_uri, _, answer = location.partition("?")
        if mode.is_signed:
            client_id = understood.required("client_id", str)
            answer = urlencode({"response": self._signed(dict(parse_qsl(answer)), client_id)})
        return mode, redirect_uri, answer

    def _understood(self, form: Form) -> Parameters:
        request = form.optional("request", Secret)
        if request is None:
            proofs = ("client_secret", "client_assertion", "client_assertion_type")
            return [(n, v) for n, vs in form.values.items() if n not in proofs for v in vs]
        if self.request_keys is not None:
            request = Secret(self._opened(request, self.request_keys))
        return check_request_object(
            request,
            client_id=form.required("client_id", str),
            issuer=self._authority.issuer,
            keys=self.client_keys,
            now=self._authority.clock.timestamp(),
        )

    def _opened(self, request: Secret, keys: DecryptionKeys) -> str:
        decrypted = decrypt(
            request.reveal(),
            keys,
            now=self._authority.clock.timestamp(),
            key_management=frozenset(KeyManagement),
            content_encryption=frozenset(ContentEncryption),
        )
        return require_nested_jws(decrypted).decode()

    def _signed(self, members: Mapping[str, str], client_id: str) -> str:
        now, issuer = self._authority.clock.timestamp(), self._authority.issuer
        honest = mint_response_jwt(
            list(members.items()),
            issuer=issuer,
            client_id=client_id,
            key=self._authority.key,
            now=now,
        )
        return self._changed(honest.reveal(), self.answer_changes, self.answer_typ)

    def _changed(self, token: str, changes: Mapping[str, Any], typ: str = "JWT") -> str:
        claims = decode_object(parse(token).payload) | dict(changes)
        signed = sign(_encoded(claims), self.answer_key or self._authority.key, typ=typ)
        if self.encrypt_to is None:
            return signed
        return encrypt(signed.encode(), self.encrypt_to, enc=ContentEncryption.A256GCM)

    def _token(self, asked: Asked) -> Fault | None:
        if self._authority.faults:
            return None
        status, body = self._authority.token(asked)
        members = msgspec.json.decode(body)
        if "id_token" in members:
            members["id_token"] = self._changed(members["id_token"], self.id_token_changes)
        if status == 200:
            members["authorization_details"] = self.granted_details
        return Fault(status=status, body=_encoded(members))

    def _userinfo(self, asked: Asked) -> Fault:
        if not asked.headers.get("authorization", "").startswith("Bearer "):
            challenge = {"www-authenticate": 'Bearer error="invalid_token"'}
            return Fault(status=401, headers=challenge)
        claims = {"sub": self._authority.subject} | self.userinfo
        if not self.userinfo_signed:
            return Fault(body=_encoded(claims))
        claims = {"iss": self._authority.issuer, "aud": "client"} | claims
        honest = sign(_encoded(claims), self._authority.key, typ="JWT")
        return Fault(
            body=self._changed(honest, {}).encode(), headers={"content-type": "application/jwt"}
        )


def _encoded(members: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({k: v for k, v in members.items() if v is not None})
