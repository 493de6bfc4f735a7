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

__all__ = ["Deaths", "kill_holders", "require_nobody_hurt"]

PEOPLE = 6


@dataclass
class Deaths:
    """What came of it."""

    turn: float  # seconds of a lease
    at: list[float] = field(default_factory=list)
    calls: int = 0
    longest: float = 0.0  # beyond the leases that the dead held then
    failures: list[str] = field(default_factory=list)
    signed_out: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return len(self.at)

    def hear(self, said: tuple[float, float] | str) -> None:
        if isinstance(said, str):
            self.failures.append(said)
            return
        began, ended = said
        dead = sum(began - self.turn < at < ended for at in self.at)
        self.calls += 1
        self.longest = max(self.longest, ended - began - dead * self.turn)


def kill_holders(
    authority: FakeAuthority, rotating: Rotating, redis_url: str, *, kills: int, turn: float
) -> Deaths:
    """Three processes serve six people and an application; tokens live a second."""
    authority.lifetime, authority.delay = timedelta(seconds=1.5), 0.05
    key, secret = Secret.generate().reveal(), secrets.token_urlsafe(32)
    place = Place(authority.issuer, redis_url, key, secret, turn=turn)
    sessions = [secrets.token_urlsafe(32) for _ in range(PEOPLE)]
    shared = place.shared()
    store = store_at(place, shared)
    for number, session in enumerate(sessions):
        store.begin(Secret(session), rotating.sign_in(f"person-{number}"))
    deaths = Deaths(turn)
    running = _Running(place, sessions)
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        try:
            while deaths.kills < kills:
                running.listen(deaths, secrets.randbelow(1000) / 1000)
                while not running.kill_one_that_holds(redis):
                    running.listen(deaths, 0.005)
                deaths.at.append(time.monotonic())
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
        for _ in range(3):
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

    def kill_one_that_holds(self, redis: "Redis") -> bool:
        for key in redis.scan_iter("mintmark:tokens:*:lease"):
            owner, _, _ = str(redis.get(key)).partition("-")
            pid = int(owner) if owner.isdigit() else 0
            if pid in self._processes:
                process, answers = self._processes.pop(pid)
                process.kill()
                process.join(20)
                answers.close()
                self._start()
                return True
        return False

    def listen(self, deaths: Deaths, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            heard = wait([answers for _, answers in self._processes.values()], left)
            for answers in heard:
                assert isinstance(answers, Connection)
                with suppress(EOFError):
                    deaths.hear(answers.recv())

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


def require_nobody_hurt(deaths: Deaths, rotating: Rotating) -> None:
    assert deaths.failures == []
    assert deaths.signed_out == []
    # None was used after its successor had been, or after the grace.
    assert rotating.stolen == 0
    # Each death may have left one answer for each person unwritten; the next one asked again.
    assert rotating.replayed <= deaths.kills * PEOPLE
    assert deaths.longest < 2.0  # one request, on a busy machine
