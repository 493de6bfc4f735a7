"""People signing in to your own web application, on Starlette and FastAPI.

A `WebLogin` sends people to the token server and takes them back, keeps their tokens on the server
and gives the browser a cookie that means nothing to anybody else. It stands on `mintmark.client`,
whose rules for tokens it does not repeat.
"""

from mintmark.webapp.login import WebLogin
from mintmark.webapp.return_to import local_path
from mintmark.webapp.sessions import AttemptRecord, SessionRecord, SessionStore, User
from mintmark.webapp.vault import Vault

__all__ = [
    "AttemptRecord",
    "SessionRecord",
    "SessionStore",
    "User",
    "Vault",
    "WebLogin",
    "local_path",
]
