"""The first API: FastAPI behind a gate. It serves applications and people, and calls another API."""

from typing import Annotated

import httpx2
from fastapi import FastAPI, HTTPException, Response

from mintmark.api import Caller, CallerKind, Gate, kind, scope
from mintmark.client import Authority, Client, TokenRejected, TokenUnavailable
from mintmark.demo.parts import Demo
from mintmark.demo.photo import photo
from mintmark.fetch import FetchPolicy
from mintmark.secret import Secret

__all__ = ["make_api", "make_api_client"]


def make_api_client(demo: Demo) -> Client:
    """The API's own identity: it asks for tokens in its own name."""
    policy = FetchPolicy(insecure_allow_http_on_loopback=True)
    return Client(
        Authority(demo.addresses.url("server"), policy=policy),
        client_id="api",
        client_secret=Secret(demo.environment["API_SECRET"]),
    )


def make_api(demo: Demo, client: Client, http: httpx2.AsyncClient) -> tuple[FastAPI, Gate]:
    downstream = demo.addresses.url("downstream")
    gate = Gate(
        demo.addresses.url("api"),
        issuer=demo.addresses.url("server"),
        insecure_allow_http_on_loopback=True,
    )
    app = gate.install(FastAPI(title="Photos and profiles"))
    mottos = client.app_token(scope="mottos.read", resource=downstream)

    @app.get("/photo")
    async def show_photo(
        caller: Annotated[
            Caller, gate.requires(scope("photos.read") & kind(CallerKind.APPLICATION))
        ],
    ) -> Response:
        return Response(photo(), media_type="image/png", headers={"x-served-to": caller.client_id})

    @app.get("/profile")
    async def show_profile(
        caller: Annotated[
            Caller, gate.requires(scope("profile.read") & kind(CallerKind.DELEGATED))
        ],
    ) -> dict[str, str]:
        demo.traffic.count("api-downstream")
        try:
            answer = await http.get(
                f"{downstream}/mottos", params={"subject": caller.subject}, auth=mottos.auth()
            )
            motto = answer.raise_for_status().json()["motto"]
        except (TokenUnavailable, TokenRejected, httpx2.HTTPError) as failure:
            raise HTTPException(502, "the second API did not answer") from failure
        return {
            "subject": caller.subject,
            "through": caller.client_id,
            "motto": motto,
        }

    @app.get("/unmarked")
    async def unmarked() -> dict[str, str]:
        # No policy stands here, so nobody gets in: the gate is closed by default.
        return {"secret": "nobody reads this"}

    return app, gate
