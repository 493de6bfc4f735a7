"""APIs for Django views: an `httpx2.Client` with the right token on it.

MINTMARK_CLIENT = "ORDERS"   # settings.py: the prefix of `Client.from_env`, or a `Client`
MIDDLEWARE = [..., "mintmark.client.django.TokenFailures"]

def page(request):
    with app_client(resource="https://orders.example") as orders:
        return JsonResponse(orders.get("/orders").json())
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any, final

import httpx2
from django.conf import settings  # type: ignore[import-untyped]  # -- Django has no types
from django.core.exceptions import (  # type: ignore[import-untyped]  # -- Django has no types
    ImproperlyConfigured,
)
from django.core.signals import setting_changed  # type: ignore[import-untyped]  # -- as above
from django.http import HttpResponse  # type: ignore[import-untyped]  # -- as above

from mintmark.client.attachable import Attachable
from mintmark.client.client import Client
from mintmark.client.connections import FAILURES, ApiClients, problem_of
from mintmark.client.environment import EnvironmentRefused
from mintmark.protocol.scope import Scope

__all__ = ["TokenFailures", "app_client", "client_of"]

SETTING = "MINTMARK_CLIENT"


def app_client(
    *, resource: str | Iterable[str], scope: str | Scope = "", base_url: str = ""
) -> httpx2.Client:
    """A client with the application's own token."""
    return _apis.clients().app(resource=resource, scope=scope, base_url=base_url)


def client_of(recipe: Attachable, *, base_url: str = "") -> httpx2.Client:
    """A client with the token of this recipe: a person's, say. One for each request and person."""
    return _apis.clients().of(recipe, base_url=base_url)


@final
class TokenFailures:
    """Middleware: 503 or 502 where a view got no token, and nothing of why.

    Put it last, so that it hears of an exception before whatever makes pages of them.
    """

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self._get_response(request)

    def process_exception(self, _request: Any, failure: Exception) -> Any:
        if not isinstance(failure, FAILURES):
            return None
        problem = problem_of(failure)
        fields = {name.decode(): value.decode() for name, value in problem.headers}
        return HttpResponse(problem.body, status=problem.status, headers=fields)


@final
class _Apis:
    """Made at the first use, for settings are not to be read before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: ApiClients | None = None

    def clients(self) -> ApiClients:
        with self._lock:
            if self._clients is None:
                self._clients = ApiClients(_configured())
            return self._clients

    def forget(self, *, setting: str, **_: Any) -> None:
        """A test has changed the settings."""
        if setting == SETTING:
            with self._lock:
                clients, self._clients = self._clients, None
            if clients is not None:
                clients.close()


def _configured() -> Client:
    said = getattr(settings, SETTING, None)
    if isinstance(said, Client):
        return said
    if not isinstance(said, str):
        raise ImproperlyConfigured(f"{SETTING}: a prefix of environment variables, or a Client")
    try:
        return Client.from_env(said)
    except (EnvironmentRefused, ValueError) as refusal:
        raise ImproperlyConfigured(f"{SETTING}: {refusal}") from None


_apis = _Apis()
setting_changed.connect(_apis.forget)
