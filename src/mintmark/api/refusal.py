"""A request that gets an answer instead of a handler."""

from mintmark.api.answers import Answer

__all__ = ["Refused"]


class Refused(Exception):
    """Carries the one right answer; why is in `answer.reason`, for the log."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reason)
        self.answer = answer
