"""Settings of how a client's requests must come, and what they may ask for in detail."""

from typing import Any

from mintmark.app.settings import ClientSettings, Settings, SettingsRefused
from mintmark.fetch import FetchPolicy, FetchRefused, require_safe_url
from mintmark.protocol.par import MAX_REQUEST_URI

__all__ = ["request_rules", "require_distinct_details"]


def request_rules(key: str, client: ClientSettings, settings: Settings) -> dict[str, Any]:
    """The members of a `Client` that its authorization requests are held to.

    Raises:
        SettingsRefused: they contradict each other.
    """
    if client.jwks is None and (client.require_signed_request_object or client.request_uris):
        raise SettingsRefused(f"{key}: signed requests need jwks, to check them with")
    policy = FetchPolicy(insecure_allow_http_on_loopback=settings.insecure_allow_http_on_loopback)
    for uri in client.request_uris:
        try:
            require_safe_url(uri, policy)
        except FetchRefused as refusal:
            raise SettingsRefused(f"{key}.request_uris: {refusal.reason}") from None
        if len(uri) > MAX_REQUEST_URI:
            raise SettingsRefused(f"{key}.request_uris: longer than {MAX_REQUEST_URI} characters")
    declared = {name for resource in settings.resources for name in resource.authorization_details}
    for name in client.authorization_details_types:
        if name not in declared:
            raise SettingsRefused(
                f"{key}.authorization_details_types: no resource declares {name!r}"
            )
    return {
        "requires_pushed_requests": client.require_pushed_authorization_requests,
        "requires_signed_requests": client.require_signed_request_object,
        "request_uris": frozenset(client.request_uris),
        "detail_types": frozenset(client.authorization_details_types),
    }


def require_distinct_details(settings: Settings) -> None:
    """Refuse a type that two resources declare: what it means would be a matter of luck."""
    seen: set[str] = set()
    for resource in settings.resources:
        for name in resource.authorization_details:
            if name in seen or not name:
                raise SettingsRefused(
                    f"resources {resource.identifier}.authorization_details: {name!r} has no "
                    "name, or another resource declares it"
                )
            seen.add(name)
