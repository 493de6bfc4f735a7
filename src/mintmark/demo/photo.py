"""The photo of the day: hills at dusk, drawn with the standard library."""

import math
import struct
import zlib
from functools import cache

__all__ = ["WIDTH", "photo"]

WIDTH, HEIGHT = 480, 300
Colour = tuple[int, int, int]


@cache
def photo() -> bytes:
    """A PNG of 480 by 300 pixels."""
    rows = b"".join(b"\0" + bytes(_row(y)) for y in range(HEIGHT))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def _row(y: int) -> list[int]:
    return [value for x in range(WIDTH) for value in _pixel(x, y)]


HILLS: tuple[tuple[float, float, float, Colour], ...] = (
    (165.0, 26.0, 95.0, (96, 84, 128)),
    (198.0, 22.0, 70.0, (62, 66, 104)),
    (236.0, 18.0, 52.0, (30, 44, 68)),
)


def _pixel(x: int, y: int) -> Colour:
    for base, height, width, colour in reversed(HILLS):
        if y > base + height * math.sin(x / width) + 5 * math.sin(x / 13.0 + base):
            return colour
    if (x - 340) ** 2 + (y - 95) ** 2 < 34**2:
        return (255, 236, 190)
    share = y / HEIGHT
    return (int(70 + 180 * share), int(82 + 90 * share), int(140 - 20 * share))
