"""Every comparison, one after the other."""

import sys

from bench import (
    api_guard,
    encrypted,
    hand_out,
    memory,
    seen_before,
    storage,
    token_endpoint,
    verify,
)


def main() -> int:
    parts = (
        verify,
        encrypted,
        seen_before,
        hand_out,
        storage,
        memory,
        token_endpoint,
        api_guard,
    )
    statuses: list[int] = [part.main() for part in parts]
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
