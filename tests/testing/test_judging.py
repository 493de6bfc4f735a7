"""Answers are compared exactly: status, the one error, its scheme and parameters."""

import pytest

from mintmark.testing.attacks.model import (
    ACCEPTED,
    CLOSED,
    GONE,
    PASSED,
    R0,
    R1,
    R1_DPOP,
    R3,
    R5,
    R7,
    R8,
    Answer,
    Request,
)
from mintmark.testing.judging import differences, shown, traces_of
from mintmark.testing.running import Reply

PROBLEM = ("content-type", "application/problem+json")
BEARER = ("www-authenticate", 'Bearer realm="x", error="invalid_token"')
DPOP = ("www-authenticate", 'DPoP error="invalid_token", algs="ES256"')


def reply(status: int, *headers: tuple[str, str], body: bytes = b"{}") -> Reply:
    return Reply(status=status, headers=(PROBLEM, *headers), body=body)


def wrong(given: Reply, expected: Answer, method: str = "GET") -> list[str]:
    return differences(given, expected, lenient=False, method=method)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (reply(401, BEARER), R1),
        (reply(401, BEARER, ("www-authenticate", 'DPoP algs="ES256"')), R1),
        (reply(401, BEARER, ("www-authenticate", 'DPoP algs="ES256"')), R1.offering("DPoP")),
        (reply(401, DPOP), R1_DPOP),
        (reply(401, ("www-authenticate", 'Bearer realm="x"')), R0),
        (reply(403), R8),
        (reply(503, ("retry-after", "5")), R7),
        (reply(403, ("www-authenticate", 'Bearer error="insufficient_scope", scope="a"')),
         R3.saying(scope="a")),
        (Reply(status=200), ACCEPTED),
        (Reply(status=101), ACCEPTED),
        (Reply(status=405), PASSED),
        (Reply(status=0, closed=1008), CLOSED),
        (Reply(status=101, closed=4401), GONE),
    ],
)  # fmt: skip
def test_the_right_answer(given: Reply, expected: Answer) -> None:
    assert wrong(given, expected) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (reply(200), R1),
        (reply(403, BEARER), R1),
        (reply(401), R1),
        (reply(401, DPOP), R1),
        (reply(401, BEARER), R1_DPOP),
        (reply(401, BEARER), R1.offering("DPoP")),
        (reply(401, BEARER, DPOP), R1),
        (reply(401, ("www-authenticate", 'Bearer error="invalid_request"')), R1),
        (reply(401, BEARER), R0),
        (reply(401), R0),
        (reply(401, BEARER, ("set-cookie", "a=b")), R1),
        (Reply(status=401, headers=(BEARER,)), R1),
        (reply(403, ("www-authenticate", "Bearer")), R8),
        (reply(503), R7),
        (reply(401, ("www-authenticate", 'DPoP error="use_dpop_nonce", algs="ES256"')), R5),
        (reply(401, ("www-authenticate", 'DPoP error="invalid_token"')), R1_DPOP),
        (reply(403, ("www-authenticate", 'Bearer error="insufficient_scope", scope="a b"')),
         R3.saying(scope="a")),
        (Reply(status=401), ACCEPTED),
        (Reply(status=401), PASSED),
        (Reply(status=101), CLOSED),
        (Reply(status=0, closed=1011), CLOSED),
        (Reply(status=101, closed=None), GONE),
    ],
)  # fmt: skip
def test_a_wrong_answer(given: Reply, expected: Answer) -> None:
    assert wrong(given, expected)


def test_an_answer_to_head_has_no_body() -> None:
    assert wrong(reply(401, BEARER), R1, "HEAD") == ["an answer to HEAD has a body"]
    assert wrong(reply(401, BEARER, body=b""), R1, "HEAD") == []


def test_a_token_is_known_by_its_last_segment() -> None:
    request = Request(headers=((b"authorization", b"Bearer aaa.bbb." + b"c" * 40),))

    assert traces_of(request, f"token {'c' * 40} refused")
    assert not traces_of(request, "token aaa.bbb refused")
    assert not traces_of(Request(), "c" * 40)
    assert "ccc" not in repr(request)


def test_a_message_shows_status_and_error() -> None:
    assert shown(reply(401, BEARER)) == "401 Bearer invalid_token"
    assert shown(Reply(status=0, closed=1008)) == "WebSocket closed with 1008"
