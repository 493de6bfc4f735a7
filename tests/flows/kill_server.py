"""`kill -9` of the token server in the middle of refreshes: what was answered is never lost."""

import random
import secrets
import threading
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

import httpx2
from tests.serving import CLIENT, Folder

from mintmark.protocol.client_authentication import basic_header
from mintmark.protocol.pkce import challenge_of, make_verifier
from mintmark.secret import Secret
from mintmark.testing import HeadlessBrowser

__all__ = ["Outcome", "refresh_while_it_dies", "require_nothing_lost"]

CALLBACK: Final = "http://127.0.0.1:1/callback"


@dataclass
class Chain:
    """One sign-in's refresh tokens, oldest first; the last one is the one that was answered."""

    tokens: list[str]
    pending: bool = False  # a request was sent and its answer never came


@dataclass
class Outcome:
    chains: list[Chain]
    refreshes: int
    kills: int


def sign_in(folder: Folder) -> Chain:
    """A refresh token, by the way that a browser and an application go."""
    verifier = make_verifier()
    query = httpx2.QueryParams(
        {
            "client_id": CLIENT, "redirect_uri": CALLBACK, "response_type": "code",
            "scope": "openid offline_access orders.read", "state": secrets.token_hex(8),
            "code_challenge": challenge_of(verifier), "code_challenge_method": "S256",
        }
    )  # fmt: skip
    browser = HeadlessBrowser()
    try:
        page = browser.open(f"{folder.issuer}/authorize?{query}")
        try:
            page = browser.submit(page, {"username": "alice", "password": "wonderland"})
            browser.submit(page, button="allow")
        except httpx2.ConnectError as nobody_there:
            url = str(nobody_there.request.url)
        else:
            raise AssertionError("nobody serves the callback")
    finally:
        browser.close()
    answer = token_request(
        folder,
        grant_type="authorization_code",
        code=parse_qs(urlsplit(url).query)["code"][0],
        redirect_uri=CALLBACK,
        code_verifier=verifier.reveal(),
    )
    return Chain([answer.json()["refresh_token"]])


def token_request(folder: Folder, **form: str) -> httpx2.Response:
    header = basic_header(CLIENT, Secret(folder.environment["SHOP_KEY"]))
    with httpx2.Client(trust_env=False, timeout=10) as http:
        return http.post(f"{folder.issuer}/token", data=form, headers={"authorization": header})


def refresh(folder: Folder, token: str) -> httpx2.Response:
    return token_request(folder, grant_type="refresh_token", refresh_token=token)


def refresh_while_it_dies(folder: Folder, *, refreshes: int, kills: int, users: int) -> Outcome:
    """Refresh from several threads while the server is killed and started again."""
    folder.start()
    chains = [sign_in(folder) for _ in range(users)]
    done = threading.Event()
    counter = iter(range(refreshes))
    lock = threading.Lock()
    counted = [0]

    def one(chain: Chain) -> None:
        while not done.is_set():
            with lock:
                if next(counter, None) is None:
                    return
            # An answer that never came is asked for again, as every client does.
            while not done.is_set():
                try:
                    answer = refresh(folder, chain.tokens[-1])
                except httpx2.HTTPError:
                    chain.pending = True
                    time.sleep(0.02)
                    continue
                if answer.status_code == 503:
                    continue
                assert answer.status_code == 200, answer.text
                chain.tokens.append(answer.json()["refresh_token"])
                chain.pending = False
                with lock:
                    counted[0] += 1
                break

    failures: list[BaseException] = []

    def guarded(chain: Chain) -> None:
        try:
            one(chain)
        except BaseException as failure:  # noqa: BLE001 -- handed to the thread that waits
            failures.append(failure)
            done.set()

    threads = [threading.Thread(target=guarded, args=(chain,)) for chain in chains]
    for thread in threads:
        thread.start()
    killed = 0
    while any(thread.is_alive() for thread in threads):
        time.sleep(random.uniform(0.02, 0.4))  # noqa: S311 -- a moment, no secret
        if killed < kills and not done.is_set():
            folder.kill()
            killed += 1
            folder.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return Outcome(chains, counted[0], killed)


def require_nothing_lost(folder: Folder, outcome: Outcome) -> None:
    """The last answered token of each chain works; the one before gives the same successor,
    within the grace, or ends the family; one from further back is refused and ends the family."""
    for chain in outcome.chains:
        answer = refresh(folder, chain.tokens[-1])
        assert answer.status_code == 200, f"an answered token was lost: {answer.text}"
        successor = answer.json()["refresh_token"]
        assert len(set(chain.tokens)) == len(chain.tokens)
        # Within the grace the spent token gives the very same successor and not a second one.
        again = refresh(folder, chain.tokens[-1])
        assert again.json().get("refresh_token", successor) == successor
        old = refresh(folder, chain.tokens[0])
        assert (old.status_code, old.json()["error"]) == (400, "invalid_grant")
        # A token from further back was stolen by somebody: nothing of this family is good now.
        dead = refresh(folder, successor)
        assert (dead.status_code, dead.json()["error"]) == (400, "invalid_grant")
