"""What the token server refuses, before and after it has started."""

import asyncio
from pathlib import Path

from mintmark.app import SettingsRefused, open_server
from mintmark.demo.check.step import StepFailed, Walk, require
from mintmark.demo.parts import PASSWORD, PERSON

__all__ = ["STEPS"]

PLACEHOLDERS = ("", "secret", "changeme", "x" * 40, "please-change-me-please-change-me-please")


def s48_no_password_grant_and_no_placeholder(walk: Walk) -> None:
    """The password grant does not exist, and a placeholder secret stops the start"""
    form = {"grant_type": "password", "username": PERSON, "password": PASSWORD}
    answer = walk.token_request("web", "WEB_SECRET", form)
    require(answer.status_code == 400, f"answered {answer.status_code}")
    require(answer.json()["error"] == "unsupported_grant_type", "another error")
    for placeholder in PLACEHOLDERS:
        environment = walk.demo.environment | {"WEB_SECRET": placeholder}
        try:
            server = asyncio.run(open_server(walk.demo.settings(), Path(), environment=environment))
        except SettingsRefused as refusal:
            require("clients web" in str(refusal), "the message does not name the client")
            require(len(placeholder) < 20 or placeholder not in str(refusal), "it is quoted")
        else:
            server.close()
            raise StepFailed("it started with a placeholder")


STEPS = (s48_no_password_grant_and_no_placeholder,)
