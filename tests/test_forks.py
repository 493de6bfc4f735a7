"""What a forked child begins with."""

import gc
import os
import weakref
from collections.abc import Callable

import pytest

from mintmark.forks import begin_again_after_fork, leave_behind

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


class Beginner:
    def __init__(self) -> None:
        self.begun = 0

    def begin(self) -> None:
        self.begun += 1


class Loud:
    """Says when it is finalized."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def __del__(self) -> None:
        os.write(self.pipe, b"finalized")


def true_in_child(question: Callable[[], bool]) -> bool:
    child = os.fork()
    if child == 0:
        # Whatever happens, the child must not return into the parent's test run.
        try:
            os._exit(0 if question() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_everybody_begins_again_once_in_each_child_and_not_in_the_parent() -> None:
    one, another = Beginner(), Beginner()
    begin_again_after_fork(one)
    begin_again_after_fork(one)
    begin_again_after_fork(another)

    assert true_in_child(lambda: (one.begun, another.begun) == (1, 1))
    assert true_in_child(
        lambda: true_in_child(lambda: one.begun == 2) and (one.begun, another.begun) == (1, 1)
    )
    assert (one.begun, another.begun) == (0, 0)


def test_who_begins_again_is_not_kept_alive() -> None:
    one = Beginner()
    alive = weakref.ref(one)
    begin_again_after_fork(one)
    del one
    gc.collect()

    assert alive() is None
    assert true_in_child(lambda: True)


def test_what_is_left_behind_is_never_finalized() -> None:
    reading, writing = os.pipe()

    def drop() -> bool:
        kept, let_go = Loud(writing), Loud(writing)
        leave_behind(kept)
        leave_behind(None)
        del kept, let_go
        gc.collect()
        return True

    assert true_in_child(drop)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        assert said.read() == b"finalized", "one of the two"
