"""`mintmark token`: access tokens for developing an API with, good on this machine alone."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from mintmark.api.development import issuer_of, project_of, require_project
from mintmark.cli.failure import ExitStatus, Failure
from mintmark.cli.issued import Issued, IssuedTokens
from mintmark.cli.moments import relative, shown
from mintmark.cli.token_request import TokenRequest
from mintmark.clock import SystemClock
from mintmark.jose.keys import SigningKey
from mintmark.secret import Secret

__all__ = ["tokens"]

tokens = typer.Typer(
    help="Development tokens: for an API that you run with"
    " insecure_trust_development_tokens_of, and for no other.",
    no_args_is_help=True,
)
key = typer.Typer(help="The key that signs a project's development tokens.", no_args_is_help=True)
tokens.add_typer(key, name="key")

ProjectOption = Annotated[
    str | None,
    typer.Option(
        "--project",
        help="The project's name. Without it: `project` of ./mintmark.toml, or else a name made"
        " from this folder's path.",
    ),
]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As `mintmark token list` shows it.")]


@tokens.command()
def create(
    application: Annotated[
        str | None, typer.Option(help="An application that speaks for itself, by its client ID.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="A person, by their subject.")] = None,
    client: Annotated[
        str | None, typer.Option(help="The application that speaks for the person.")
    ] = None,
    audience: Annotated[
        list[str] | None, typer.Option(help="The API, by its resource identifier.")
    ] = None,
    scope: Annotated[list[str] | None, typer.Option(help="One scope or several.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="A role.")] = None,
    claim: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A further claim; the value is JSON, or text."),
    ] = None,
    not_before: Annotated[str | None, typer.Option(help="A moment, with its zone.")] = None,
    expires_on: Annotated[str | None, typer.Option(help="A moment, with its zone.")] = None,
    valid_for: Annotated[
        str | None, typer.Option(help="90s, 15m, 2h: at most 24h; without it, 1h.")
    ] = None,
    output: Annotated[
        Literal["token", "json"], typer.Option(help="The token alone, or what it says, too.")
    ] = "token",
    project: ProjectOption = None,
) -> None:
    """Make a token and print it."""
    request = TokenRequest(
        application=application,
        subject=subject,
        client=client,
        audience=tuple(audience or ()),
        scope=tuple(scope or ()),
        roles=tuple(role or ()),
        claims=tuple(claim or ()),
        not_before=not_before,
        expires_on=expires_on,
        valid_for=valid_for,
    )
    now = SystemClock().timestamp()
    request.require_sound(now)
    issued_tokens = _open(project)
    signing_key = issued_tokens.key_to_sign_with()
    issued = request.issue(now, signing_key.kid)
    token = issued.mint(issued_tokens.project, signing_key)
    issued_tokens.add(issued)
    if output == "json":
        _print_json(issued_tokens.project, issued, token)
    else:
        print(token.reveal())
    _note(f"{issued.id} expires {relative(issued.expires_at - now)}")


@tokens.command("list")
def list_tokens(project: ProjectOption = None) -> None:
    """The tokens that were made, without their text."""
    issued_tokens = _open(project)
    found = issued_tokens.key()
    now = SystemClock().timestamp()
    for issued in issued_tokens.all():
        state = issued.state(now, found.kid if found else None)
        expiry = shown(issued.expires_at)
        print(f"{issued.id}  {state:12}  {expiry}  {_whose(issued)}  {_whereto(issued)}")


@tokens.command("print")
def print_token(token_id: IdArgument, project: ProjectOption = None) -> None:
    """Print a token that was made before, signed anew."""
    issued_tokens = _open(project)
    issued = issued_tokens.get(token_id)
    signing_key = issued_tokens.key()
    if signing_key is None or signing_key.kid != issued.kid:
        raise Failure(
            f"{issued.id} was signed with a key that has been reset", ExitStatus.TOKEN,
            "make a new token; `mintmark token remove` takes this one from the list",
        )  # fmt: skip
    print(issued.mint(issued_tokens.project, signing_key).reveal())
    now = SystemClock().timestamp()
    _note(
        f"{issued.id} expires {relative(issued.expires_at - now)}; {issued.state(now, issued.kid)}"
    )


@tokens.command()
def remove(token_id: IdArgument, project: ProjectOption = None) -> None:
    """Take a token from the list. What was printed of it stays good until it expires."""
    issued_tokens = _open(project)
    issued = issued_tokens.get(token_id)
    issued_tokens.remove(token_id)
    print(f"{issued.id}: removed")
    _note("whoever has it may use it until it expires; `mintmark token key reset` ends all tokens")


@tokens.command()
def clear(project: ProjectOption = None) -> None:
    """Take all tokens from the list. What was printed of them stays good until it expires."""
    print(f"removed: {_open(project).clear()}")
    _note("whoever has one may use it until it expires; `mintmark token key reset` ends all tokens")


@key.command("show")
def show_key(project: ProjectOption = None) -> None:
    """Say which key it is and where it lies. The key itself is not shown."""
    issued_tokens = _open(project)
    found = issued_tokens.key()
    if found is None:
        raise Failure(
            f"project {issued_tokens.project} has no key yet", ExitStatus.TOKEN,
            "`mintmark token create` makes one",
        )  # fmt: skip
    _show_key(issued_tokens, found)


@key.command("reset")
def reset_key(project: ProjectOption = None) -> None:
    """Put a new key in the old one's place: no token made before is good any more."""
    issued_tokens = _open(project)
    _show_key(issued_tokens, issued_tokens.reset_key())


def _open(project: str | None) -> IssuedTokens:
    if project is not None:
        return IssuedTokens(require_project(project), os.environ)
    name, source = project_of(Path.cwd())
    _note(f"project {name}, by {source}")
    return IssuedTokens(name, os.environ)


def _note(text: str) -> None:
    """Beside the output, which may go to another program."""
    print(f"note: {text}", file=sys.stderr)


def _show_key(issued_tokens: IssuedTokens, found: SigningKey) -> None:
    print(f"project  {issued_tokens.project}")
    print(f"issuer   {issuer_of(issued_tokens.project)}")
    print(f"key      {found.kid}  {found.algorithm}")
    print(f"file     {issued_tokens.key_path}")


def _print_json(project: str, issued: Issued, token: Secret) -> None:
    members = {
        "id": issued.id,
        "token": token.reveal(),
        "issuer": issuer_of(project),
        "subject": issued.subject,
        "client_id": issued.client_id,
        "audience": issued.audience,
        "scope": " ".join(issued.scope),
        "expires_at": shown(issued.expires_at),
        "claims": issued.extra,
    }
    print(msgspec.json.encode(members).decode())


def _whose(issued: Issued) -> str:
    if issued.subject == issued.client_id:
        return issued.client_id
    return f"{issued.subject} by {issued.client_id}"


def _whereto(issued: Issued) -> str:
    return f"{' '.join(issued.audience)}  {' '.join(issued.scope) or '-'}"
