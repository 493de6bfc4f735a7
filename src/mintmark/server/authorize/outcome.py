"""What has to happen next in a browser."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from mintmark.protocol.authorization_details import AuthorizationDetails
from mintmark.protocol.scope import Scope
from mintmark.server.clients import Client

__all__ = ["AskConsent", "AskLogin", "Outcome", "PostBack", "Redirect", "ShowError", "origin_of"]


@dataclass(frozen=True, slots=True)
class Redirect:
    """Back to the client, with a code or a refusal. The URL holds a secret: log it nowhere."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PostBack:
    """The same in a form that the browser posts (OAuth 2.0 Form Post Response Mode §2)."""

    redirect_uri: str
    parameters: tuple[tuple[str, str], ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskLogin:
    """Somebody has to sign in. `interaction` is opaque and comes back with the form."""

    interaction: str = field(repr=False)
    client: Client
    login_hint: str
    redirect_origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AskConsent:
    """The person who signed in has to agree. `interaction` comes back with the form."""

    interaction: str = field(repr=False)
    client: Client
    scope: Scope  # all that was asked for
    details: AuthorizationDetails = ()
    username: str
    redirect_origin: str


@dataclass(frozen=True, slots=True)
class ShowError:
    """Something is wrong that must not be sent anywhere: say it to the person."""

    description: str
    status: int = 400


Outcome = Redirect | PostBack | AskLogin | AskConsent | ShowError


def origin_of(redirect_uri: str) -> str:
    """Where the answer goes, as a page names it to the person and to the browser.

    It is the address that this request asked for, with its port: a native application listens on
    another than the registered one (RFC 8252 §7.3).
    """
    parts = urlsplit(redirect_uri)
    if parts.scheme in {"http", "https"}:
        return f"{parts.scheme}://{parts.netloc}"
    return f"{parts.scheme}:"
