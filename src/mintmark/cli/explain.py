"""`mintmark explain`: what a token is, what it says, and why an API would refuse it."""

import asyncio
import getpass
import re
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer

from mintmark.api import Gate
from mintmark.api.development import project_of, require_project
from mintmark.cli.anatomy import describe
from mintmark.cli.failure import ExitStatus, Failure
from mintmark.clock import SystemClock
from mintmark.secret import Secret

__all__ = ["explain"]

MAX_INPUT: Final = 64 * 1024

_SCHEME: Final = re.compile(r"(?:authorization:\s*)?(?:bearer|dpop)(?:\s+|$)", re.IGNORECASE)


def explain(
    given: Annotated[
        str,
        typer.Argument(
            metavar="TOKEN",
            help="'-' reads it from standard input, or asks for it. Better so: what stands on a"
            " command line is visible to others on this machine, and stays in the shell's history.",
        ),
    ] = "-",
    resource: Annotated[
        str | None, typer.Option(help="The API that is to judge it, by its resource identifier.")
    ] = None,
    issuer: Annotated[str | None, typer.Option(help="The issuer that this API trusts.")] = None,
    development: Annotated[
        bool, typer.Option("--development", help="It trusts development tokens of a project.")
    ] = False,
    project: Annotated[
        str | None, typer.Option(help="Which one, if it is not this folder's.")
    ] = None,
    insecure_allow_http_on_loopback: Annotated[
        bool, typer.Option(help="Plain http to this very machine.")
    ] = False,
) -> None:
    """Say what a token is and what it says, and why an API would refuse it.

    Neither the token nor its signature is shown. Nothing is sent to anybody, but that the keys of
    --issuer are fetched.
    """
    if (resource is None) != (issuer is None and not development):
        raise Failure(
            "name --resource and, with it, --issuer or --development", ExitStatus.TOKEN
        )  # fmt: skip
    secret = _read(given)
    for line in describe(secret, SystemClock().timestamp()):
        print(line)
    if resource is None:
        return
    trusted: str | Path | None = None
    if development:
        trusted = require_project(project) if project else project_of(Path.cwd())[0]
    gate = _gate(
        resource,
        issuer=issuer,
        project=trusted,
        insecure_http=insecure_allow_http_on_loopback,
    )
    with closing(gate):
        _judge(gate, secret)


def _read(argument: str) -> Secret:
    if argument != "-":
        print("note: others on this machine can see a command line; '-' is better", file=sys.stderr)
        text = argument
    elif sys.stdin.isatty():
        text = getpass.getpass("Token: ")
    else:
        text = sys.stdin.buffer.read(MAX_INPUT + 1).decode("utf-8", "replace")
    # People copy the whole header.
    text = _SCHEME.sub("", text.strip())
    if not text or len(text) > MAX_INPUT:
        raise Failure("there is no token here, or far too much of it", ExitStatus.TOKEN)
    return Secret(text)


def _gate(
    resource: str, *, issuer: str | None, project: str | Path | None, insecure_http: bool
) -> Gate:
    try:
        return Gate(
            resource,
            issuer=issuer,
            insecure_allow_http_on_loopback=insecure_http,
            insecure_trust_development_tokens_of=project,
            environment=None if project is None else "development",
        )
    except ValueError as refusal:
        raise Failure(str(refusal), ExitStatus.TOKEN) from None


def _judge(gate: Gate, token: Secret) -> None:
    explanation = asyncio.run(gate.explain(token))
    print(f"at {gate.resource}")
    for step in explanation.steps:
        print(f"  {step}")
    if not explanation.outcome.startswith("accepted"):
        raise Failure(f"{gate.resource}: {explanation.outcome}", ExitStatus.REFUSED)
    print(f"  => {explanation.outcome}")
