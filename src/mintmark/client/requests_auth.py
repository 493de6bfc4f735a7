"""A token on a request of requests."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, final

from requests.auth import AuthBase
from requests.exceptions import UnrewindableBodyError
from requests.sessions import SessionRedirectMixin
from requests.utils import requote_uri, rewind_body

from mintmark.client.prepared import Library, PreparedAuth
from mintmark.fetch import FetchPolicy

if TYPE_CHECKING:
    from mintmark.client.recipe import Recipe

__all__ = ["RequestsAuth"]

LIBRARY = Library(
    requote_uri, SessionRedirectMixin().rebuild_method, rewind_body, UnrewindableBodyError
)


@final
class RequestsAuth(PreparedAuth, AuthBase):
    """For `requests.get(..., auth=...)` and `session.auth` what `TokenAuth` is for httpx2."""

    def __init__(self, recipe: "Recipe", origins: Iterable[str], policy: FetchPolicy) -> None:
        super().__init__(LIBRARY, recipe, origins, policy)
