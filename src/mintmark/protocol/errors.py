"""The registered error codes, and the one exception that carries them."""

from enum import StrEnum

__all__ = ["ErrorCode", "OAuthError"]


class ErrorCode(StrEnum):
    """The specified `error` values; no code of our own goes on the wire.

    Source: RFC 6749 §4.1.2.1 and §5.2, OIDC Core §3.1.2.6, RFC 6750 §3.1, RFC 7009 §2.2.1,
    RFC 8707 §2, RFC 9396 §5.
    """

    INVALID_REQUEST = "invalid_request"  # RFC 6749 §5.2, as the five below
    INVALID_CLIENT = "invalid_client"
    INVALID_GRANT = "invalid_grant"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    INVALID_SCOPE = "invalid_scope"
    ACCESS_DENIED = "access_denied"  # RFC 6749 §4.1.2.1, as the three below
    UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
    SERVER_ERROR = "server_error"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    LOGIN_REQUIRED = "login_required"  # OIDC Core §3.1.2.6, as the eight below
    INTERACTION_REQUIRED = "interaction_required"
    CONSENT_REQUIRED = "consent_required"
    ACCOUNT_SELECTION_REQUIRED = "account_selection_required"
    REQUEST_NOT_SUPPORTED = "request_not_supported"
    REQUEST_URI_NOT_SUPPORTED = "request_uri_not_supported"
    INVALID_REQUEST_OBJECT = "invalid_request_object"
    INVALID_REQUEST_URI = "invalid_request_uri"
    REGISTRATION_NOT_SUPPORTED = "registration_not_supported"
    INVALID_TOKEN = "invalid_token"  # noqa: S105 -- RFC 6750 §3.1, an error code and no password
    INSUFFICIENT_SCOPE = "insufficient_scope"  # RFC 6750 §3.1
    UNSUPPORTED_TOKEN_TYPE = "unsupported_token_type"  # noqa: S105 -- RFC 7009 §2.2.1, an error code
    INVALID_TARGET = "invalid_target"  # RFC 8707 §2
    INVALID_AUTHORIZATION_DETAILS = "invalid_authorization_details"  # RFC 9396 §5
    # OpenID Connect Core Error Code unmet_authentication_requirements §2
    UNMET_AUTHENTICATION_REQUIREMENTS = "unmet_authentication_requirements"
    AUTHORIZATION_PENDING = "authorization_pending"  # RFC 8628 §3.5, as the two below
    SLOW_DOWN = "slow_down"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 -- an error code and no password
    INVALID_DPOP_PROOF = "invalid_dpop_proof"  # RFC 9449 §5
    USE_DPOP_NONCE = "use_dpop_nonce"  # RFC 9449 §8


class OAuthError(Exception):
    """A refusal the other side is told about.

    `description` travels, so it must not tell a guesser which guess came close.
    `reason` is for our log and leaves the process nowhere else.
    """

    def __init__(self, code: ErrorCode, description: str, *, reason: str = "") -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description
        self.reason = reason or description

    @property
    def status(self) -> int:
        """The HTTP status at an endpoint that answers in JSON."""
        # RFC 6749 §5.2: 400, unless it is the client that failed to authenticate.
        match self.code:
            case ErrorCode.INVALID_CLIENT | ErrorCode.INVALID_TOKEN:
                return 401
            case ErrorCode.INSUFFICIENT_SCOPE:
                return 403
            case ErrorCode.SERVER_ERROR:
                return 500
            case ErrorCode.TEMPORARILY_UNAVAILABLE:
                return 503
            case _:
                return 400
