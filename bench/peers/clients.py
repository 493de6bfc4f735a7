"""Other people's clients in a process of their own, which does as it is told, a line at a time.

    held LIBRARY CALLS        microseconds for one hand-out of a token that is held
    cold LIBRARY THREADS      so many threads want the first token at once; milliseconds until all have it

Usage: python clients.py ISSUER. It imports nothing of ours: what it measures is theirs alone.
"""

import io
import json
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import httpx
import requests
from authlib.integrations.requests_client import (  # type: ignore[import-untyped]  # -- it has no types
    OAuth2Session as Authlib,
)
from httpx_auth import (  # type: ignore[import-not-found]  # -- installed beside the project
    OAuth2,
    OAuth2ClientCredentials,
)
from msal import (  # type: ignore[import-not-found]  # -- installed beside the project
    ConfidentialClientApplication,
)
from oauthlib.oauth2 import (  # type: ignore[import-untyped]  # -- it has no types
    BackendApplicationClient,
)
from requests_oauthlib import (  # type: ignore[import-untyped]  # -- it has no types
    OAuth2Session,
)

CLIENT, SECRET, SCOPE = "bench", "x" * 32, "orders.read"
TENANT: Final = "https://id.example/bench"
API: Final = "https://api.example/orders"

HandOut = Callable[[], object]


class _OnLoopback(requests.Session):
    """msal speaks to https alone. It gets its metadata from here, and asks for tokens on loopback."""

    def __init__(self, issuer: str) -> None:
        super().__init__()
        self.issuer = issuer

    def get(  # type: ignore[override]  # -- msal passes nothing else
        self,
        url: str | bytes,  # noqa: ARG002 -- its signature
        **more: Any,  # noqa: ARG002 -- its signature
    ) -> requests.Response:
        answer = requests.Response()
        answer.status_code = 200
        members = {"issuer": TENANT, "token_endpoint": f"{TENANT}/token"}
        members["authorization_endpoint"] = f"{TENANT}/authorize"
        answer.raw = io.BytesIO(json.dumps(members).encode())
        return answer

    def post(self, url: str | bytes, *args: Any, **more: Any) -> requests.Response:  # noqa: ARG002 -- its signature
        return super().post(f"{self.issuer}/token", *args, **more)


def msal(issuer: str) -> HandOut:
    app = ConfidentialClientApplication(
        CLIENT,
        client_credential=SECRET,
        oidc_authority=TENANT,
        http_client=_OnLoopback(issuer),
    )

    def hand_out() -> object:
        return app.acquire_token_for_client([SCOPE])["access_token"]

    return hand_out


def httpx_auth(issuer: str) -> HandOut:
    OAuth2.token_cache.clear()
    auth = OAuth2ClientCredentials(f"{issuer}/token", CLIENT, SECRET, scope=SCOPE)
    request = httpx.Request("GET", API)

    def hand_out() -> object:
        return next(auth.auth_flow(request)).headers["authorization"]

    return hand_out


def authlib(issuer: str) -> HandOut:
    """As its documentation says: a session fetches, and then has a token that it looks after."""
    session = Authlib(CLIENT, SECRET, scope=SCOPE, token_endpoint=f"{issuer}/token")
    session.metadata["grant_type"] = "client_credentials"

    def hand_out() -> object:
        if not session.token:
            session.fetch_token()
        session.ensure_active_token(session.token)
        return session.token["access_token"]

    return hand_out


def requests_oauthlib(issuer: str) -> HandOut:
    session = OAuth2Session(client=BackendApplicationClient(client_id=CLIENT, scope=SCOPE))

    def hand_out() -> object:
        if not session.authorized:
            session.fetch_token(f"{issuer}/token", client_id=CLIENT, client_secret=SECRET)
        # What the session itself does before it sends a request.
        _, headers, _ = session._client.add_token(API, http_method="GET", headers={})  # noqa: SLF001 -- it has no other name
        return headers["Authorization"]

    return hand_out


LIBRARIES: Final = {
    "msal": msal,
    "httpx-auth": httpx_auth,
    "Authlib": authlib,
    "requests-oauthlib": requests_oauthlib,
}


def timed(hand_out: HandOut, calls: int) -> float:
    begin = time.perf_counter_ns()
    for _ in range(calls):
        hand_out()
    return (time.perf_counter_ns() - begin) / calls / 1000


def stampede(hand_out: HandOut, count: int) -> float:
    """Milliseconds; raises what any of the threads met."""
    ready, failures = threading.Barrier(count + 1), list[BaseException]()

    def one() -> None:
        ready.wait()
        try:
            hand_out()
        except BaseException as failure:  # noqa: BLE001 -- raised again in the main thread
            failures.append(failure)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    ready.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    took = (time.perf_counter() - begin) * 1000
    if failures:
        raise failures[0]
    return took


def main() -> None:
    issuer, held = sys.argv[1], dict[str, Any]()
    print("ready", flush=True)
    for line in sys.stdin:
        what, library, number = line.split()
        if what == "cold":
            print(stampede(LIBRARIES[library](issuer), int(number)), flush=True)
            continue
        if library not in held:
            held[library] = LIBRARIES[library](issuer)
            held[library]()
        print(timed(held[library], int(number)), flush=True)


if __name__ == "__main__":
    main()
