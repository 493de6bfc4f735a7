"""What is said of a token to a person who wonders: every state, in words, without a secret."""

from datetime import timedelta

import pytest
from tests.client.conftest import API

from mintmark.client import (
    ApplicationToken,
    AuthorityUnavailable,
    Client,
    InsufficientScope,
    LoginFailed,
    LoginRequired,
    MemoryUserTokens,
    OriginNotAllowed,
    ProofUnavailable,
    TokenRefused,
    TokenRejected,
    TokenUnavailable,
    errors,
    explain,
)
from mintmark.secret import Secret
from mintmark.testing import FakeAuthority, FrozenClock
from mintmark.testing.faults import Fault


@pytest.fixture
def recipe(client: Client) -> ApplicationToken:
    return client.app_token(scope="orders.read", resource=API)


def test_what_is_wanted_comes_first(recipe: ApplicationToken) -> None:
    first, second, *_ = explain(recipe).splitlines()

    assert first == f"An application token of client for {API}; scope: orders.read."
    assert second == "None is held: nobody has asked for one yet."


def test_a_fresh_token_is_handed_out_until_its_last_quarter(recipe: ApplicationToken) -> None:
    recipe.token()
    recipe.token()
    said = explain(recipe)

    assert "Held since 2026-01-01 12:00:00 UTC (0 s ago): fetched" in said
    assert "It ends at 2026-01-01 12:10:00 UTC; it is handed out again as it is until" in said
    assert "Asked for 2 times: once answered from memory" in said
    assert "once by waiting for a fetch. Fetched once, 0 of them renewals." in said


@pytest.mark.parametrize(
    ("later", "words"),
    [
        (timedelta(minutes=7), "handed out again as it is"),
        (timedelta(minutes=7, seconds=31), "another is fetched at the next call"),
        (timedelta(minutes=9, seconds=1), "too soon to be handed out"),
        (timedelta(minutes=10), "It ended at"),
    ],
)
def test_each_part_of_a_life_has_its_own_words(
    recipe: ApplicationToken, clock: FrozenClock, later: timedelta, words: str
) -> None:
    recipe.token()
    clock.advance(later)

    assert words in explain(recipe)


def test_a_failure_says_why_and_until_when_nobody_asks(
    recipe: ApplicationToken, authority: FakeAuthority, clock: FrozenClock
) -> None:
    authority.faults.append(Fault(status=503, headers={"retry-after": "40"}))
    with pytest.raises(TokenUnavailable):
        recipe.token()
    said = explain(recipe)

    assert "None is held: the last try to fetch one failed." in said
    assert "Failed at 2026-01-01 12:00:00 UTC: AuthorityUnavailable: status 503." in said
    assert "Trying again can help." in said
    assert "Nobody asks the server again before 2026-01-01 12:00:40 UTC." in said
    clock.advance(timedelta(seconds=40))
    assert "The next call that needs one asks again." in explain(recipe)


def test_what_a_server_wrote_begins_no_line_of_its_own(
    recipe: ApplicationToken, authority: FakeAuthority
) -> None:
    planted = b'{"error":"invalid_scope","error_description":"a\\nNone is held: \\u001b[2J"}'
    authority.faults.append(Fault(status=400, body=planted))
    with pytest.raises(TokenRefused):
        recipe.token()
    said = explain(recipe)

    assert len([line for line in said.splitlines() if line.startswith("None is held")]) == 1
    assert all(line.isprintable() for line in said.splitlines())
    assert "Trying again will not help." in said


def test_a_token_that_an_api_refused_is_said_to_be_gone(recipe: ApplicationToken) -> None:
    recipe.forget(recipe.token())

    assert "the last one was refused by an API" in explain(recipe)


def test_a_clock_that_was_set_back_is_said_and_not_counted(
    recipe: ApplicationToken, clock: FrozenClock
) -> None:
    recipe.token()
    clock.advance(timedelta(days=-1))

    assert "the clock was set back since" in explain(recipe)


def test_a_persons_token_is_explained_too_without_their_session(client: Client) -> None:
    session = Secret("the-session-of-this-test-alone")
    recipe = client.user_token(session, MemoryUserTokens(), resource=API)
    with pytest.raises(LoginRequired):
        recipe.token()
    said = explain(recipe)

    assert said.startswith(f"A delegated token of client for {API}; scope: whatever")
    assert "LoginRequired: there are no tokens for this session." in said
    assert session.reveal() not in said


def test_no_explanation_holds_a_token(recipe: ApplicationToken) -> None:
    token = recipe.token()

    assert token.reveal() not in explain(recipe)
    assert token.fingerprint() in explain(recipe)


def test_looking_fetches_nothing(recipe: ApplicationToken, authority: FakeAuthority) -> None:
    explain(recipe)

    assert authority.counts["token"] == 0


@pytest.mark.parametrize(
    ("failure", "helps"),
    [
        (AuthorityUnavailable("?"), True),
        (ProofUnavailable("?"), True),
        (TokenRefused("invalid_client"), False),
        (LoginRequired("?"), False),
        (LoginFailed("?"), False),
        (OriginNotAllowed("?"), False),
        (TokenRejected("?"), False),
        (InsufficientScope(frozenset({"a"})), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_says_whether_trying_again_can_help(failure: object, helps: bool) -> None:
    assert getattr(failure, "retryable", None) is helps


def test_no_error_of_the_client_leaves_that_open() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__]

    assert [kind for kind in kinds if not isinstance(getattr(kind, "retryable", None), bool)] == []
