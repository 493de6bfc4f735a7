"""Code that asks for tokens, keeps them, and puts them on requests.

An `Authority` is a server's metadata and keys, a `Client` is an identity there, and a recipe
(`client.app_token(...)`, `client.user_token(...)`) says which token is wanted and hands it out:
fetched once however many ask, renewed before it dies, sent to its own API alone. It never reads an
access token, and it never sends a request without one.
"""

from mintmark.client.application import ApplicationToken
from mintmark.client.auth import TokenAuth
from mintmark.client.authority import Authority
from mintmark.client.client import Client
from mintmark.client.delegated import DelegatedToken
from mintmark.client.environment import EnvironmentRefused
from mintmark.client.errors import (
    AuthorityUnavailable,
    InsufficientScope,
    LoginFailed,
    LoginRequired,
    OriginNotAllowed,
    ProofUnavailable,
    TokenRefused,
    TokenRejected,
    TokenUnavailable,
)
from mintmark.client.explain import explain
from mintmark.client.login import LoginAttempt, LoginFlow, SignedIn
from mintmark.client.manager import HeldToken, TokenManager
from mintmark.client.proof import (
    AssertionAudience,
    ClientProof,
    ClientSecret,
    FederatedAssertion,
    PrivateKeyJwt,
    ProofAudience,
    PublicClient,
)
from mintmark.client.renewal import RenewalPolicy
from mintmark.client.stores import MemoryUserTokens, StoredToken, UserTokens, UserTokenStore

__all__ = [
    "ApplicationToken",
    "AssertionAudience",
    "Authority",
    "AuthorityUnavailable",
    "Client",
    "ClientProof",
    "ClientSecret",
    "DelegatedToken",
    "EnvironmentRefused",
    "FederatedAssertion",
    "HeldToken",
    "InsufficientScope",
    "LoginAttempt",
    "LoginFailed",
    "LoginFlow",
    "LoginRequired",
    "MemoryUserTokens",
    "OriginNotAllowed",
    "PrivateKeyJwt",
    "ProofAudience",
    "ProofUnavailable",
    "PublicClient",
    "RenewalPolicy",
    "SignedIn",
    "StoredToken",
    "TokenAuth",
    "TokenManager",
    "TokenRefused",
    "TokenRejected",
    "TokenUnavailable",
    "UserTokenStore",
    "UserTokens",
    "explain",
]
