"""Authorization request and response (RFC 6749 §4.1, OIDC Core §3.1.2)."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Self
from urllib.parse import urlencode, urlsplit

from mintmark.protocol.errors import ErrorCode, OAuthError
from mintmark.protocol.form import Form
from mintmark.protocol.pkce import METHOD, parse_challenge
from mintmark.protocol.scope import Scope, format_scope, parse_scope
from mintmark.secret import Secret

__all__ = [
    "AuthorizationRequest",
    "AuthorizationResponse",
    "Prompt",
    "ResponseMode",
    "redirect_with",
    "refusal_parameters",
]

MAX_STATE_LENGTH = 2048


class Prompt(StrEnum):
    """What the person must be asked, whatever is remembered (OIDC Core §3.1.2.1)."""

    NONE = "none"
    LOGIN = "login"
    CONSENT = "consent"
    SELECT_ACCOUNT = "select_account"


class ResponseMode(StrEnum):
    """How the answer comes back: in an address or a form, plain or as a signed JWT (JARM §2.3)."""

    QUERY = "query"
    FORM_POST = "form_post"  # OAuth 2.0 Form Post Response Mode §2
    JWT = "jwt"  # for a code the same as `query.jwt`
    QUERY_JWT = "query.jwt"
    FORM_POST_JWT = "form_post.jwt"

    @property
    def is_signed(self) -> bool:
        return self.value.endswith("jwt")

    @property
    def is_posted(self) -> bool:
        return self.value.startswith("form_post")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """A browser brings this to the authorization endpoint.

    `client_id` and `redirect_uri` must have been checked before anything else is answered by
    redirect; the server reads them by itself first, for that reason.
    """

    client_id: str
    redirect_uri: str
    scope: Scope = frozenset()
    state: Secret | None = None
    nonce: Secret | None = None
    code_challenge: str
    resource: tuple[str, ...] = ()
    prompt: frozenset[Prompt] = field(default_factory=frozenset)
    max_age: timedelta | None = None
    login_hint: str | None = None
    ui_locales: str | None = None
    acr_values: tuple[str, ...] = ()
    id_token_hint: Secret | None = None
    display: str | None = None
    claims: str | None = None  # a JSON object (OIDC Core §5.5)
    authorization_details: str | None = None  # a JSON array (RFC 9396 §2)
    dpop_jkt: str | None = None  # RFC 9449 §10
    response_mode: ResponseMode | None = None

    @classmethod
    def parse(cls, form: Form) -> Self:
        """What an authorization request says, once it is unfolded: no request object is left in it.

        Raises:
            OAuthError: INVALID_REQUEST, INVALID_SCOPE, UNSUPPORTED_RESPONSE_TYPE,
                REQUEST_NOT_SUPPORTED, REQUEST_URI_NOT_SUPPORTED, REGISTRATION_NOT_SUPPORTED.
        """
        _require_supported(form)
        # RFC 9700 §2.1.1: a challenge always, and never `plain`, which is what absence means.
        if form.optional("code_challenge_method", str) != METHOD:
            raise OAuthError(ErrorCode.INVALID_REQUEST, "code_challenge_method must be S256")
        return cls(
            client_id=form.required("client_id", str),
            redirect_uri=form.required("redirect_uri", str),
            scope=form.optional("scope", parse_scope) or frozenset(),
            state=form.optional("state", _parse_echoed),
            nonce=form.optional("nonce", _parse_echoed),
            code_challenge=form.required("code_challenge", parse_challenge),
            resource=form.every("resource"),
            prompt=form.optional("prompt", _parse_prompt) or frozenset(),
            max_age=form.optional("max_age", _parse_max_age),
            login_hint=form.optional("login_hint", str),
            ui_locales=form.optional("ui_locales", str),
            acr_values=tuple((form.optional("acr_values", str) or "").split()),
            id_token_hint=form.optional("id_token_hint", Secret),
            display=form.optional("display", str),
            claims=form.optional("claims", str),
            authorization_details=form.optional("authorization_details", str),
            dpop_jkt=form.optional("dpop_jkt", str),
            response_mode=form.optional("response_mode", _parse_response_mode),
        )

    def parameters(self) -> list[tuple[str, str]]:
        """The same request for the wire; `parse` gives an equal one, if it holds what that reads."""
        optional = [
            ("state", self.state.reveal() if self.state else None),
            ("nonce", self.nonce.reveal() if self.nonce else None),
            ("scope", format_scope(self.scope) or None),
            ("prompt", " ".join(sorted(self.prompt)) or None),
            ("max_age", None if self.max_age is None else str(int(self.max_age.total_seconds()))),
            ("login_hint", self.login_hint),
            ("ui_locales", self.ui_locales),
            ("acr_values", " ".join(self.acr_values) or None),
            ("id_token_hint", self.id_token_hint.reveal() if self.id_token_hint else None),
            ("display", self.display),
            ("claims", self.claims),
            ("authorization_details", self.authorization_details),
            ("dpop_jkt", self.dpop_jkt),
            ("response_mode", self.response_mode),
        ]
        return [
            ("response_type", "code"),
            ("client_id", self.client_id),
            ("redirect_uri", self.redirect_uri),
            ("code_challenge", self.code_challenge),
            ("code_challenge_method", METHOD),
            *((name, value) for name, value in optional if value is not None),
            *(("resource", one) for one in self.resource),
        ]


def _require_supported(form: Form) -> None:
    # OIDC Core §3.1.2.6: say so instead of ignoring what the client relies on.
    if form.optional("request", str) is not None:
        raise OAuthError(ErrorCode.REQUEST_NOT_SUPPORTED, "request objects are not offered")
    if form.optional("request_uri", str) is not None:
        raise OAuthError(ErrorCode.REQUEST_URI_NOT_SUPPORTED, "request_uri is not offered")
    if form.optional("registration", str) is not None:
        raise OAuthError(ErrorCode.REGISTRATION_NOT_SUPPORTED, "registration is not offered")
    response_type = form.required("response_type", str)
    if response_type != "code":
        raise OAuthError(ErrorCode.UNSUPPORTED_RESPONSE_TYPE, "only response_type=code is offered")


def _parse_echoed(text: str) -> Secret:
    if len(text) > MAX_STATE_LENGTH:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "state or nonce is too long")
    return Secret(text)


def _parse_prompt(text: str) -> frozenset[Prompt]:
    try:
        prompt = frozenset(Prompt(one) for one in text.split(" ") if one)
    except ValueError:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "prompt has an unknown value") from None
    # OIDC Core §3.1.2.1: `none` stands alone.
    if Prompt.NONE in prompt and len(prompt) > 1:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "prompt=none stands alone")
    return prompt


def _parse_response_mode(text: str) -> ResponseMode:
    try:
        return ResponseMode(text)
    except ValueError:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "response_mode is not offered") from None


def _parse_max_age(text: str) -> timedelta:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise OAuthError(ErrorCode.INVALID_REQUEST, "max_age is no number of seconds")
    return timedelta(seconds=int(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationResponse:
    """What the browser brings back to the client: a code, or a refusal."""

    state: Secret | None
    iss: str | None  # RFC 9207 §2; None from a server that does not send it
    code: Secret | None  # exactly one of code and error
    error: str | None = None
    error_description: str | None = None

    @classmethod
    def parse(cls, query: str) -> Self:
        """Raises `OAuthError(INVALID_REQUEST)` unless it has a code or an error, not both."""
        return cls.of(Form.parse(query))

    @classmethod
    def of(cls, form: Form) -> Self:
        """The same of parameters that were read already. Raises `OAuthError(INVALID_REQUEST)`."""
        response = cls(
            state=form.optional("state", Secret),
            iss=form.optional("iss", str),
            code=form.optional("code", Secret),
            error=form.optional("error", str),
            error_description=form.optional("error_description", str),
        )
        if (response.code is None) == (response.error is None):
            raise OAuthError(ErrorCode.INVALID_REQUEST, "neither one code nor one error came back")
        return response

    def parameters(self) -> list[tuple[str, str]]:
        candidates = [
            ("code", self.code.reveal() if self.code else None),
            ("error", self.error),
            ("error_description", self.error_description),
            ("state", self.state.reveal() if self.state else None),
            ("iss", self.iss),
        ]
        return [(name, value) for name, value in candidates if value is not None]


def refusal_parameters(error: OAuthError, state: Secret | None, iss: str) -> list[tuple[str, str]]:
    """A refusal on its way back to the client (RFC 6749 §4.1.2.1, RFC 9207 §2)."""
    return AuthorizationResponse(
        state=state,
        iss=iss,
        code=None,
        error=error.code.value,
        error_description=error.description,
    ).parameters()


def redirect_with(redirect_uri: str, parameters: list[tuple[str, str]]) -> str:
    """The address with parameters added to its query, which is kept (RFC 6749 §3.1.2)."""
    if not parameters:
        return redirect_uri
    separator = "&" if urlsplit(redirect_uri).query else "?"
    return f"{redirect_uri}{separator}{urlencode(parameters)}"
