"""Several processes and one store: one fetches for all, and a killed one holds nobody up for long."""

import secrets

import pytest
from tests.client.killing import kill_holders, require_nobody_hurt
from tests.client.processes import CONTEXT, Place, ask_together
from tests.client.rotating import Rotating

from mintmark.secret import Secret
from mintmark.testing import FakeAuthority

pytestmark = pytest.mark.service


def test_s02_s03_w05_four_processes_of_two_hundred_threads_and_coroutines_fetch_once(
    authority: FakeAuthority, redis_url: str
) -> None:
    authority.delay = 0.1
    key, secret = Secret.generate().reveal(), secrets.token_urlsafe(32)
    place = Place(authority.issuer, redis_url, key, secret)
    scopes, ready = ["orders.read", "stock.read"], CONTEXT.Barrier(4)
    running = []
    for _ in range(4):
        near, far = CONTEXT.Pipe(duplex=False)
        process = CONTEXT.Process(
            target=ask_together, args=(place, scopes, 200, ready, far), daemon=True
        )
        process.start()
        running.append((process, near))
    answers = [near.recv() for _, near in running if near.poll(60)]
    for process, near in running:
        process.join(20)
        near.close()

    assert len(answers) == 4
    tokens = [set().union(*(answer[n] for answer in answers)) for n in range(len(scopes))]
    assert [len(one) for one in tokens] == [1, 1]
    assert tokens[0] != tokens[1]
    assert authority.counts["client_credentials"] == len(scopes)


def test_s03_s12_s13_ten_deaths_sign_nobody_out(authority: FakeAuthority, redis_url: str) -> None:
    rotating = Rotating(authority)

    deaths = kill_holders(authority, rotating, redis_url, kills=10, turn=1.0)

    require_nobody_hurt(deaths, rotating)
    assert deaths.kills == 10
    assert deaths.calls > 100
