"""`kill -9` of whichever process has a lease, again and again, under load."""

import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from redis import Redis
from tests.client.processes import (
    API,
    CONTEXT,
    Place,
    ask_without_end,
    client_at,
    store_at,
)
from tests.client.rotating import Rotating

from mintmark.secret import Secret
from mintmark.testing import FakeAuthority

__all__ = ["Deaths", "kill_holders"]

PEOPLE = 6


@dataclass
class Deaths:
    """What came of it."""

    kills: int = 0
    calls: int = 0
    longest: float = 0.0
    failures: list[str] = field(default_factory=list)
    signed_out: list[str] = field(default_factory=list)


def kill_holders(
    authority: FakeAuthority, rotating: Rotating, redis_url: str, *, kills: int, turn: float
) -> Deaths:
    """Two processes serve six people and an application; tokens live a second."""
    authority.lifetime, authority.delay = timedelta(seconds=1.5), 0.05
    key, secret = Secret.generate().reveal(), secrets.token_urlsafe(32)
    place = Place(authority.issuer, redis_url, key, secret, turn=turn)
    sessions = [secrets.token_urlsafe(32) for _ in range(PEOPLE)]
    shared = place.shared()
    store = store_at(place, shared)
    for number, session in enumerate(sessions):
        store.begin(Secret(session), rotating.sign_in(f"person-{number}"))
    deaths = Deaths()
    running = _Running(place, sessions)
    with Redis.from_url(redis_url) as redis:
        try:
            while deaths.kills < kills:
                running.listen(deaths, secrets.randbelow(200) / 1000)
                deaths.kills += running.kill_one_that_holds(redis)
            running.listen(deaths, 2 * turn)  # what the last one left behind
        finally:
            running.end()
    deaths.signed_out = _signed_out(place, sessions)
    shared.close()
    return deaths


class _Running:
    def __init__(self, place: Place, sessions: list[str]) -> None:
        self._place, self._sessions = place, sessions
        self._processes: dict[int, tuple[BaseProcess, Connection]] = {}
        for _ in range(2):
            self._start()

    def _start(self) -> None:
        near, far = CONTEXT.Pipe(duplex=False)
        process = CONTEXT.Process(
            target=ask_without_end, args=(self._place, self._sessions, far), daemon=True
        )
        process.start()
        far.close()
        assert process.pid is not None
        self._processes[process.pid] = process, near

    def kill_one_that_holds(self, redis: "Redis") -> int:
        for key in redis.scan_iter("mintmark:tokens:*:lease"):
            pid_then = (redis.get(key) or b"").partition(b"-")[0]
            pid = int(pid_then) if pid_then.isdigit() else 0
            if pid in self._processes:
                process, answers = self._processes.pop(pid)
                process.kill()
                process.join(20)
                answers.close()
                self._start()
                return 1
        return 0

    def listen(self, deaths: Deaths, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            heard = wait([answers for _, answers in self._processes.values()], left)
            for answers in heard:
                assert isinstance(answers, Connection)
                with suppress(EOFError):
                    self._hear(deaths, answers.recv())

    def _hear(self, deaths: Deaths, said: float | str) -> None:
        if isinstance(said, str):
            deaths.failures.append(said)
        else:
            deaths.calls += 1
            deaths.longest = max(deaths.longest, said)

    def end(self) -> None:
        for process, answers in self._processes.values():
            process.kill()
            process.join(20)
            answers.close()


def _signed_out(place: Place, sessions: list[str]) -> list[str]:
    shared = place.shared()
    client, store = client_at(place, shared), store_at(place, shared)
    gone = []
    for number, session in enumerate(sessions):
        try:
            client.user_token(Secret(session), store, resource=API).token()
        except Exception as failure:  # noqa: BLE001 -- whatever it is, it is what is counted
            gone.append(f"person-{number}: {failure}")
    client.close()
    shared.close()
    return gone
