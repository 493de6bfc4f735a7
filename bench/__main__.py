"""Every comparison, one after the other."""

import sys

from bench import (
    api_guard,
    auth_hook,
    encrypted,
    hand_out,
    many_keys,
    memory,
    seen_before,
    stampede,
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
        auth_hook,
        stampede,
        many_keys,
        storage,
        memory,
        token_endpoint,
        api_guard,
    )
    statuses: list[int] = [part.main() for part in parts]
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
