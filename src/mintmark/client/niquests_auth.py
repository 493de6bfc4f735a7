"""A token on a request of niquests.

niquests is not among this project's own dependencies, not even of its tests: its urllib3-future
takes the place of urllib3. So nothing here has its types.
"""

from collections.abc import Iterable
from importlib import import_module
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, final

from mintmark.client.prepared import (
    Library,
    PreparedAuth,
    Preparing,
    answer_of,
    is_replayable,
    put,
)
from mintmark.client.sending import Sending
from mintmark.fetch import FetchPolicy

if TYPE_CHECKING:
    from mintmark.client.recipe import Recipe

__all__ = ["AsyncNiquestsAuth", "NiquestsAuth"]

niquests: Any = import_module("niquests")
utils: Any = import_module("niquests.utils")


def _change_method(step: Any, response: Any) -> None:
    # It uses nothing of its session, and to make one for it would start a resolver.
    niquests.Session.rebuild_method(None, step, response)


LIBRARY: Final = Library(
    utils.requote_uri,
    _change_method,
    utils.rewind_body,
    import_module("niquests.exceptions").UnrewindableBodyError,
    # A repetition is waited for here, also in a session that lets answers come later.
    {"multiplexed": False},
)


@final
class NiquestsAuth(PreparedAuth):
    """For `niquests.get(..., auth=...)` and `niquests.Session` what `TokenAuth` is for httpx2."""

    def __init__(self, recipe: "Recipe", origins: Iterable[str], policy: FetchPolicy) -> None:
        super().__init__(LIBRARY, recipe, origins, policy)

    def _answered(self, response: Any, **how: Any) -> Any:
        if isinstance(response, niquests.AsyncResponse):
            # Said at the first answer, not at the first renewal, which would not be awaited.
            raise RuntimeError("an AsyncSession takes async_niquests_auth()")  # noqa: TRY004 -- niquests takes a TypeError for another signature
        return super()._answered(response, **how)


@final
class AsyncNiquestsAuth(Preparing):
    """For `niquests.AsyncSession`. Shared by any number of coroutines.

    It is called as a request is prepared, and puts the token on it as it is sent: a request that
    was prepared by hand is one that niquests would send without what an awaited auth object adds.
    """

    def __init__(self, recipe: "Recipe", origins: Iterable[str], policy: FetchPolicy) -> None:
        super().__init__(LIBRARY, recipe, origins, policy)

    def __call__(self, request: Any) -> Any:
        put_already = False

        async def put_first(request: Any, **_: Any) -> Any:
            nonlocal put_already
            if not put_already:
                sending = Sending(self._attachment)
                put(request, await sending.afirst(request.method or "", request.url or ""))
                # Asked again for each step of a redirect, which is not a first request: whether
                # that carries the token was decided when the answer before it was seen.
                put_already = True
            elif self._token_of(request) is not None:
                self._attachment.require_own(request.url or "")
            return request

        request.register_hook("pre_request", put_first)
        request.register_hook("response", self._answered)
        return request

    async def _answered(self, response: Any, **how: Any) -> Any:
        judged = await self._judged(response, **how)
        if judged.is_redirect:
            step = self._next_step(judged)
            if step is not None:
                sending, method, url = step
                put(judged.request, await sending.acarrying(method, url))
        return judged

    async def _judged(self, response: Any, **how: Any) -> Any:
        request = response.request
        sending = self._sending(request)
        while sending is not None:
            try:
                carried = await sending.aagain(
                    answer_of(response),
                    request.method or "",
                    request.url or "",
                    replayable=is_replayable(request),
                )
            except BaseException:
                await response.close()
                raise
            if carried is None or not await self._arewound(request):
                return response
            put(request, carried)
            refused = response
            _ = await refused.content
            await refused.close()
            response = await refused.connection.send(request, **{**how, **LIBRARY.again})
            response.history.append(refused)
        return response

    async def _arewound(self, request: Any) -> bool:
        if not iscoroutinefunction(getattr(request.body, "seek", None)):
            return self._rewound(request)
        try:
            await utils.arewind_body(request)
        except (LIBRARY.not_rewound, ValueError):
            return False
        return True
