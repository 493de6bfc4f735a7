"""Every comparison, one after the other."""

import sys

from bench import hand_out, seen_before, storage, token_endpoint, verify


def main() -> int:
    parts = (verify, seen_before, hand_out, storage, token_endpoint)
    statuses: list[int] = [part.main() for part in parts]
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
