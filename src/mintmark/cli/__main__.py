"""Every command, its options and its help."""

import getpass
import logging
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from mintmark.app import Settings, require_usable
from mintmark.cli.demo import demo
from mintmark.cli.doctor import examine
from mintmark.cli.explain import explain
from mintmark.cli.failure import failures_in_one_line, naming
from mintmark.cli.serve import serve as run_server
from mintmark.cli.token import tokens
from mintmark.secret import Secret
from mintmark.server.accounts import hash_password
from mintmark.storage.sql.migrations import migrate as run_migrations

__all__ = ["main"]

app = typer.Typer(
    help="Access tokens: issue them, try them, look at them.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)
clients = typer.Typer(help="Clients.", no_args_is_help=True)
users = typer.Typer(help="People.", no_args_is_help=True)
keys = typer.Typer(help="Keys.", no_args_is_help=True)
app.add_typer(clients, name="clients")
app.add_typer(users, name="users")
app.add_typer(keys, name="keys")
app.add_typer(tokens, name="token")

app.command()(demo)
app.command()(explain)

ConfigOption = Annotated[Path, typer.Option("--config", help="The settings file.")]
DEFAULT_CONFIG = Path("mintmark.toml")


@app.command()
def serve(
    config: ConfigOption = DEFAULT_CONFIG,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8080,
) -> None:
    """Run a token server."""
    run_server(config, host, port)


@app.command("check-config")
def check_config(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Read the settings as `serve` would, and say what is wrong with them."""
    with naming(config):
        require_usable(Settings.load(config), config.resolve().parent)
    print(f"{config}: fine")


@app.command("doctor")
def doctor(
    issuer: Annotated[str, typer.Argument(help="The issuer, exactly as the server writes it.")],
    insecure_allow_http_on_loopback: Annotated[
        bool, typer.Option(help="Plain http to this very machine.")
    ] = False,
) -> None:
    """Ask a token server for its metadata and keys, as clients and APIs do."""
    examine(issuer, insecure_allow_http_on_loopback=insecure_allow_http_on_loopback)


@app.command()
def migrate(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Bring the database to this version."""
    path = Settings.load(config).database_path(config.resolve().parent)
    run_migrations(path)
    print(f"{path}: current")


@clients.command("new-secret")
def new_secret() -> None:
    """Print a fresh client secret."""
    print(secrets.token_urlsafe(32))


@keys.command("new-master")
def new_master() -> None:
    """Print a fresh master key."""
    print(secrets.token_urlsafe(32))


@users.command("hash-password")
def hash_a_password() -> None:
    """Read a password from the terminal or standard input; print its Argon2id hash."""
    typed = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline()
    print(hash_password(Secret(typed.rstrip("\n"))))


def main() -> None:
    """The entry point; every foreseen failure is one line."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    with failures_in_one_line():
        app()


if __name__ == "__main__":
    main()
