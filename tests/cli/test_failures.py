"""Bad input ends a command in one clear line and an exit status of its own."""

import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.serving import Folder, mintmark

from mintmark.testing import FakeAuthority
from mintmark.testing.ports import free_ports

SETTINGS, DATABASE, PORT, MASTER_KEY, ISSUER = 3, 4, 5, 6, 8


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def one_line(done: "subprocess.CompletedProcess[str]", status: int, *words: str) -> str:
    """Exactly one `error:` line, perhaps one hint, nothing of a traceback, and the status."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("INFO", "WARNING"))]
    assert done.returncode == status, done.stderr
    assert len(lines) in {1, 2}, done.stderr
    assert lines[0].startswith("error: ")
    assert all(line.startswith("hint: ") for line in lines[1:])
    for word in words:
        assert word in lines[0]
    return lines[0]


class TestSettings:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("issuer = ", ["not TOML"]),
            ("issuer = 5", ["issuer"]),
            ("", ["issuer"]),
            ('issuer = "https://id.example"\nmaster_kee = 5', ["master_kee", "master_key?"]),
            ("\xff", ["UTF-8"]),
        ],
    )
    def test_what_cannot_be_read(self, folder: Folder, text: str, words: list[str]) -> None:
        folder.config.write_bytes(text.encode("latin-1"))

        one_line(folder.run("serve"), SETTINGS, "mintmark.toml", *words)
        one_line(folder.run("check-config"), SETTINGS, "mintmark.toml", *words)

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("", "[lifetimes]\nsession = 1000000000000\n", ["lifetimes", "ten years"]),
            ("", "[lifetimes]\nrefresh_token_absolute = 10000000000000000\n", ["lifetimes", "ten years"]),
            ("[[clients]]\n", "[[clients]]\naccess_token_lifetime = -5\n", ["access_token_lifetime"]),
            ("[[clients]]\n", "[[clients]]\naccess_token_lifetime = 0\n", ["access_token_lifetime"]),
        ],
    )  # fmt: skip
    def test_lifetimes_that_nobody_can_mean(
        self, folder: Folder, old: str, new: str, words: list[str]
    ) -> None:
        text = folder.config.read_text()
        folder.config.write_text(text.replace(old, new, 1) if old else f"{text}\n{new}")

        one_line(folder.run("check-config"), SETTINGS, "mintmark.toml", *words)

    def test_no_file_at_all(self, folder: Folder) -> None:
        folder.config.unlink()

        one_line(folder.run("serve"), SETTINGS, "mintmark.toml", "No such file")

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ('"http://127.0.0.1', '"http://id.example', ["issuer must be https"]),
            ("insecure_allow_http_on_loopback = true", "", ["insecure_allow_http_on_loopback"]),
            ('"client_credentials"]', '"password"]', ["clients", "password"]),
            ('"orders.read"]\nsecrets', '"orders.wirte"]\nsecrets', ["shop", "orders.wirte"]),
            ('env = "SHOP_KEY"', 'env = "NOBODY_SET_THIS"', ["shop.secrets[0]", "NOBODY_SET_THIS"]),
            ('env = "SHOP_KEY"', 'file = "missing"', ["shop.secrets[0]", "missing", "No such file"]),
            ('env = "MASTER_KEY"', 'insecure_literal = "short"', ["master_key", "new-master"]),
            ('redirect_uris = ["http://127.0.0.1:1/callback"]', "", ["shop", "redirect_uris"]),
            ("127.0.0.1:1/callback", "127.0.0.1:1/callback#part", ["shop", "callback#part"]),
            ('client_id = "shop"', 'client_id = "1-alice"', ["1-alice", "subject"]),
            ('password = { insecure_literal = "wonderland" }', "", ["alice", "password_hash"]),
            ('name = "Shop"', 'name = "Shop"\nmethod = "none"', ["shop", "method = none"]),
            ('"https://orders.example"', '"orders"', ["resources orders", "absolute URI"]),
        ],
        ids=lambda value: value[:18] if isinstance(value, str) else "",
    )  # fmt: skip
    def test_what_contradicts_itself(
        self, folder: Folder, old: str, new: str, words: list[str]
    ) -> None:
        text = folder.config.read_text()
        assert old in text
        folder.config.write_text(text.replace(old, new, 1))

        one_line(folder.run("check-config"), SETTINGS, "mintmark.toml", *words)

    def test_a_client_that_stands_there_twice(self, folder: Folder) -> None:
        text = folder.config.read_text()
        client = text[text.index("[[clients]]") : text.index("[[users]]")]
        folder.config.write_text(text + client)

        one_line(
            folder.run("check-config"), SETTINGS, "mintmark.toml", "clients", "'shop'", "twice"
        )

    @pytest.mark.parametrize(
        "value",
        ["change-me-change-me-change-me-change-me", "my-client-secret-for-the-shop-0123456789",
         "brief-one", "a" * 64, "todo-0J3xPqLwzv9TnRb5KdYs7HfGm2Vc8E", "correct-horse-battery"],
    )  # fmt: skip
    def test_w13_s48_a_secret_that_is_a_word_stops_the_start(
        self, folder: Folder, value: str
    ) -> None:
        """W-13: secrets in source code; W-12: what may be logged is no setting."""
        folder.environment["SHOP_KEY"] = value
        line = one_line(folder.run("serve"), SETTINGS, "mintmark.toml", "shop.secrets[0]")

        assert value not in line

    @pytest.mark.parametrize(
        "setting", ["show_pii = true", 'log_level = "DEBUG"', "log_tokens = true"]
    )
    def test_w12_s48_no_setting_shows_personal_data(self, folder: Folder, setting: str) -> None:
        """W-12: personal data in the log was one switch away, and the switch was on."""
        folder.config.write_text(f"{setting}\n{folder.config.read_text()}")

        one_line(folder.run("serve"), SETTINGS, setting.partition(" ")[0])

    def test_good_settings_are_fine(self, folder: Folder) -> None:
        done = folder.run("check-config")

        assert (done.returncode, done.stdout, done.stderr) == (0, "mintmark.toml: fine\n", "")


class TestDatabase:
    @pytest.fixture
    def database(self, folder: Folder) -> Path:
        assert folder.run("migrate").returncode == 0
        return folder.path / "mintmark.sqlite3"

    def test_without_one_the_server_makes_it(self, folder: Folder) -> None:
        with folder.running():
            assert (folder.path / "mintmark.sqlite3").exists()

    def test_one_of_a_newer_version(self, folder: Folder, database: Path) -> None:
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()

        one_line(folder.run("serve"), DATABASE, "mintmark.sqlite3", "newer version")
        one_line(folder.run("migrate"), DATABASE, "mintmark.sqlite3", "newer version")

    def test_one_of_an_older_version(self, folder: Folder, database: Path) -> None:
        """There is one version so far, so the program is told that it is the next one."""
        later = (
            "from mintmark.storage.sql import migrations\n"
            "migrations._head = lambda: 'the next one'\n"
            "from mintmark.cli.__main__ import main\n"
            "main()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", later, "serve"],
            cwd=folder.path,
            env={"PATH": os.environ["PATH"], **folder.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

        one_line(done, DATABASE, database.name, "older version", "mintmark migrate")

    def test_a_file_that_is_none(self, folder: Folder) -> None:
        (folder.path / "mintmark.sqlite3").write_bytes(b"not a database at all" * 100)

        for command in ("serve", "migrate"):
            one_line(folder.run(command), DATABASE, "mintmark.sqlite3")

    def test_another_master_key(self, folder: Folder, database: Path) -> None:
        with folder.running():
            pass
        folder.environment["MASTER_KEY"] = secrets.token_urlsafe(32)

        one_line(folder.run("serve", "--port", str(free_ports()[0])), MASTER_KEY, "master key")
        assert database.exists()

    @pytest.fixture
    def full_disk(self, tmp_path: Path) -> Iterator[Path]:
        """A real file system with nothing left on it."""
        small = tmp_path / "small"
        small.mkdir()
        program = shutil.which("mount")
        if program is None or os.geteuid() != 0:
            pytest.skip("mounting a small disk needs root")
        mounted = subprocess.run(
            [program, "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(small)], check=False
        )
        if mounted.returncode != 0:
            pytest.skip("this machine mounts nothing")
        yield small
        subprocess.run(["umount", str(small)], check=True)

    def test_a_full_disk(self, folder: Folder, full_disk: Path) -> None:
        text = folder.config.read_text()
        folder.config.write_text(f'{text}\n[database]\npath = "small/db.sqlite3"\n')

        one_line(folder.run("migrate"), DATABASE, "db.sqlite3", "full")
        assert full_disk.exists()

    def test_a_folder_that_is_not_there(self, folder: Folder) -> None:
        text = folder.config.read_text()
        folder.config.write_text(f'{text}\n[database]\npath = "missing/db.sqlite3"\n')

        one_line(folder.run("migrate"), DATABASE, "db.sqlite3")


class TestPorts:
    def test_a_number_that_is_no_port(self, folder: Folder) -> None:
        one_line(folder.run("serve", "--port", "70000"), PORT, "70000")

    def test_a_taken_port(self, folder: Folder) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = str(other.getsockname()[1])
            one_line(folder.run("serve", "--port", port), PORT, port, "taken")

    def test_the_demo_says_which_port_is_taken(self, tmp_path: Path) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            done = mintmark("demo", "--port-base", str(port - 1), folder=tmp_path)

        assert "hint: choose others with --port-base" in done.stderr
        assert one_line(done, PORT, "taken")

    def test_an_address_that_is_not_ours(self, folder: Folder) -> None:
        one_line(folder.run("serve", "--host", "192.0.2.1"), PORT, "192.0.2.1")


class TestIssuer:
    """`mintmark doctor`: what a client or an API would stumble over."""

    def check(self, issuer: str, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
        return mintmark("doctor", issuer, "--insecure-allow-http-on-loopback", folder=tmp_path)

    def test_a_good_one(self, authority: FakeAuthority, tmp_path: Path) -> None:
        done = self.check(authority.issuer, tmp_path)

        assert done.returncode == 0
        assert f"{authority.issuer}: fine" in done.stdout

    def test_a_wrong_one(self, authority: FakeAuthority, tmp_path: Path) -> None:
        authority.metadata_changes = {"issuer": "https://somebody.example"}

        one_line(self.check(authority.issuer, tmp_path), ISSUER, authority.issuer, "issuer")

    def test_a_dead_one(self, tmp_path: Path) -> None:
        one_line(
            self.check(f"http://127.0.0.1:{free_ports()[0]}", tmp_path), ISSUER, "ConnectError"
        )

    def test_one_without_keys(self, authority: FakeAuthority, tmp_path: Path) -> None:
        authority.published = []

        one_line(self.check(authority.issuer, tmp_path), ISSUER, "no key")

    def test_one_over_http(self, tmp_path: Path) -> None:
        done = mintmark("doctor", "http://id.example", folder=tmp_path)

        one_line(done, ISSUER, "only https")


class TestStopping:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_the_server_stops_when_it_is_told_to(self, folder: Folder, number: int) -> None:
        assert folder.run("migrate").returncode == 0
        with folder.running():
            status = folder.stop(number)
        log = (folder.path / "server.log").read_text()

        assert status in {0, -number, 128 + number}
        assert "Traceback" not in log

    def test_ctrl_c_ends_the_demo_and_leaves_nothing(self, tmp_path: Path) -> None:
        import sys

        base = free_ports(4)[0]
        process = subprocess.Popen(
            [sys.executable, "-m", "mintmark.cli", "demo", "--port-base", str(base)],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if "Ctrl-C" in line:
                break
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)

        assert process.returncode == 0
        assert "Stopped." in output
        assert "Traceback" not in errors
        assert list(tmp_path.iterdir()) == []


class TestMakers:
    def test_secrets_are_fresh_and_strong(self, tmp_path: Path) -> None:
        made = [mintmark(*command, folder=tmp_path).stdout.strip()
                for command in (("clients", "new-secret"), ("keys", "new-master")) * 2]  # fmt: skip

        assert len(set(made)) == 4
        assert {len(value) for value in made} == {43}

    def test_a_password_is_read_from_standard_input(self, tmp_path: Path) -> None:
        done = mintmark("users", "hash-password", folder=tmp_path, input="wonderland\n")

        assert done.stdout.startswith("$argon2id$")
        assert "wonderland" not in done.stdout
