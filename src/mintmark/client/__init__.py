"""Code that asks for tokens, keeps them, and puts them on requests.

An `Authority` is a server's metadata and keys, a `Client` is an identity there, and a recipe
(`client.app_token(...)`, `client.user_token(...)`) says which token is wanted and hands it out:
fetched once however many ask, renewed before it dies, sent to its own API alone. It never reads an
access token, and it never sends a request without one.
"""

from mintmark.client.application import (
    ApplicationToken,
)
from mintmark.client.approval import (
    ApprovalCancelled,
    ApprovalDenied,
    ApprovalExpired,
    Approved,
)
from mintmark.client.auth import (
    TokenAuth,
)
from mintmark.client.authority import (
    Authority,
)
from mintmark.client.binding import (
    Sender,
)
from mintmark.client.ciba import (
    BackchannelFlow,
    BackchannelLogin,
    PingRefused,
)
from mintmark.client.client import (
    Client,
)
from mintmark.client.delegated import (
    DelegatedToken,
)
from mintmark.client.device import (
    DeviceCode,
    DeviceFlow,
)
from mintmark.client.dpop import (
    DPoP,
)
from mintmark.client.environment import (
    EnvironmentRefused,
)
from mintmark.client.errors import (
    AuthorityUnavailable,
    InsufficientScope,
    LoginFailed,
    LoginRequired,
    OriginNotAllowed,
    ProofRejected,
    ProofUnavailable,
    StepUpRequired,
    TokenRefused,
    TokenRejected,
    TokenUnavailable,
)
from mintmark.client.exchange import (
    ExchangedToken,
)
from mintmark.client.explain import (
    explain,
)
from mintmark.client.held import (
    HeldToken,
)
from mintmark.client.interaction import (
    InteractionRequired,
)
from mintmark.client.jwt_bearer import (
    AssertedToken,
)
from mintmark.client.login import (
    LoginAttempt,
    LoginFlow,
    SignedIn,
)
from mintmark.client.manager import (
    TokenManager,
)
from mintmark.client.mtls import (
    ClientCertificate,
    MutualTls,
    Pem,
)
from mintmark.client.nonces import (
    MemoryNonces,
    NonceStore,
    SharedNonces,
)
from mintmark.client.on_behalf_of import (
    Dialect,
    OnBehalfOfToken,
)
from mintmark.client.proof import (
    AssertionAudience,
    ClientProof,
    ClientSecret,
    FederatedAssertion,
    PrivateKeyJwt,
    ProofAudience,
    PublicClient,
    SecretJwt,
    SelfSignedTls,
    TlsClientAuth,
)
from mintmark.client.protected_resource import (
    ProtectedResource,
    discover_resource,
    require_pkce,
)
from mintmark.client.registration import (
    Registration,
    register,
)
from mintmark.client.renewal import (
    RenewalPolicy,
)
from mintmark.client.request_signing import (
    RequestSigning,
)
from mintmark.client.responses import (
    RegisteredResponses,
)
from mintmark.client.sealed import (
    KeyRing,
)
from mintmark.client.shared import (
    SharedTokens,
    StoreUnavailable,
)
from mintmark.client.stores import (
    MemoryUserTokens,
    StoredToken,
    UserTokens,
    UserTokenStore,
)
from mintmark.client.subject import (
    CallerToken,
    SubjectToken,
)
from mintmark.client.tenants import (
    Tenants,
    UnknownTenant,
)
from mintmark.client.user_tokens import (
    SharedUserTokens,
)
from mintmark.protocol.authorization import (
    ResponseMode,
)
from mintmark.protocol.client_registration import (
    ClientMetadata,
)

__all__ = [
    "ApplicationToken",
    "ApprovalCancelled",
    "ApprovalDenied",
    "ApprovalExpired",
    "Approved",
    "AssertedToken",
    "AssertionAudience",
    "Authority",
    "AuthorityUnavailable",
    "BackchannelFlow",
    "BackchannelLogin",
    "CallerToken",
    "Client",
    "ClientCertificate",
    "ClientMetadata",
    "ClientProof",
    "ClientSecret",
    "DPoP",
    "DelegatedToken",
    "DeviceCode",
    "DeviceFlow",
    "Dialect",
    "EnvironmentRefused",
    "ExchangedToken",
    "FederatedAssertion",
    "HeldToken",
    "InsufficientScope",
    "InteractionRequired",
    "KeyRing",
    "LoginAttempt",
    "LoginFailed",
    "LoginFlow",
    "LoginRequired",
    "MemoryNonces",
    "MemoryUserTokens",
    "MutualTls",
    "NonceStore",
    "OnBehalfOfToken",
    "OriginNotAllowed",
    "Pem",
    "PingRefused",
    "PrivateKeyJwt",
    "ProofAudience",
    "ProofRejected",
    "ProofUnavailable",
    "ProtectedResource",
    "PublicClient",
    "RegisteredResponses",
    "Registration",
    "RenewalPolicy",
    "RequestSigning",
    "ResponseMode",
    "SecretJwt",
    "SelfSignedTls",
    "Sender",
    "SharedNonces",
    "SharedTokens",
    "SharedUserTokens",
    "SignedIn",
    "StepUpRequired",
    "StoreUnavailable",
    "StoredToken",
    "SubjectToken",
    "Tenants",
    "TlsClientAuth",
    "TokenAuth",
    "TokenManager",
    "TokenRefused",
    "TokenRejected",
    "TokenUnavailable",
    "UnknownTenant",
    "UserTokenStore",
    "UserTokens",
    "discover_resource",
    "explain",
    "register",
    "require_pkce",
]
