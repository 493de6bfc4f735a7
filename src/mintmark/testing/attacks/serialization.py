"""B: segments, base64url and JSON (RFC 7515 §2, §7.1)."""

import base64
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from mintmark.testing.attacks.forging import compact, padded, raw_json, segment
from mintmark.testing.attacks.model import R1, R2, Group, Variant
from mintmark.testing.attacks.trying import each, forged, tried, with_token

if TYPE_CHECKING:
    from mintmark.testing.mint import Mint

__all__ = ["SERIALIZATION"]

SERIALIZATION = Group("B")
_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@SERIALIZATION.attack("B1", "too few segments, or too many", R1)
def segment_counts(mint: "Mint") -> Iterator[Variant]:
    head, body, tail = mint.delegated().text.split(".")
    texts = {
        "one": head + body + tail,
        "two": f"{head}.{body}",
        "four": f"{head}.{body}.{tail}.{tail}",
        "six": ".".join((head, body, tail) * 2),
        "a trailing dot": f"{head}.{body}.{tail}.",
        "a leading dot": f".{head}.{body}.{tail}",
    }
    texts |= {f"{count} dots": "." * count for count in (1, 2, 3, 4, 5)}
    yield from each(mint, texts)


@SERIALIZATION.attack("B2", "the JSON serialization", R1)
def json_serialization(mint: "Mint") -> Iterator[Variant]:
    head, body, tail = mint.delegated().text.split(".")
    flattened = {"payload": body, "protected": head, "signature": tail}
    signature = {"protected": head, "signature": tail}
    general = {"payload": body, "signatures": [signature]}
    for name, value in (("flattened", flattened), ("general", general)):
        # As it is, no header could hold it: RFC 6750 §2.1 has no quotes and braces.
        yield with_token(mint, f"{name}, as it is", json.dumps(value), R2)
        packed = base64.urlsafe_b64encode(raw_json(value)).decode().rstrip("=")
        yield with_token(mint, f"{name}, packed", packed)
        yield with_token(mint, f"{name}, as a segment", f"{packed}.{body}.{tail}")


@SERIALIZATION.attack("B3", "padding at the end of a segment", R1)
def padding(mint: "Mint") -> Iterator[Variant]:
    # A signature of 64 octets always has room for it; the others are filled until they have.
    for name, change in (("header", mint.delegated().headed), ("payload", mint.delegated().claims)):
        for filling in ("x", "xx", "xxx"):
            token = change(x=filling)
            head, body = segment(token.header), segment(token.payload)
            part = head if name == "header" else body
            if part != padded(part):
                break
        signed = f"{padded(head)}.{body}" if name == "header" else f"{head}.{padded(body)}"
        signature = segment(token.key.sign(signed.encode()))
        # RFC 6750 §2.1: inside a token no header may hold `=`, so it is the header that fails.
        yield with_token(mint, name, f"{signed}.{signature}", R2)
    start, _, tail = mint.delegated().text.rpartition(".")
    yield with_token(mint, "signature", f"{start}.{padded(tail)}")
    yield with_token(mint, "signature, too much of it", f"{start}.{tail}====")


@SERIALIZATION.attack("B4", "the standard alphabet", R1)
def standard_alphabet(mint: "Mint") -> Iterator[Variant]:
    texts: dict[str, str] = {}
    while len(texts) < 2:  # until a signature happens to have such a character
        start, _, tail = mint.delegated().text.rpartition(".")
        for url, standard in (("-", "+"), ("_", "/")):
            if url in tail:
                texts[standard] = f"{start}.{tail.replace(url, standard)}"
    yield from each(mint, dict(sorted(texts.items())))


@SERIALIZATION.attack("B5", "foreign characters inside a segment", R1)
def foreign_characters(mint: "Mint") -> Iterator[Variant]:
    parts = mint.delegated().text.split(".")
    for character in "~+/":
        for place, name in enumerate(("header", "payload", "signature")):
            changed = [*parts]
            changed[place] = parts[place][:8] + character + parts[place][8:]
            yield with_token(mint, f"{character!r} in the {name}", ".".join(changed))
    for character in ("\n", "\r\n", " ", "?", "$"):
        # No header value holds these, so it is the header that is refused.
        text = f"{parts[0]}.{parts[1][:8]}{character}{parts[1][8:]}.{parts[2]}"
        yield with_token(mint, f"{character!r}", text, R2)


@SERIALIZATION.attack("B6", "unused bits that are set", R1)
def unused_bits(mint: "Mint") -> Iterator[Variant]:
    text = mint.delegated().text
    last = _ALPHABET.index(text[-1])
    for bit in (1, 2, 4, 8):  # 64 octets leave four bits over
        yield with_token(mint, f"bit {bit}", text[:-1] + _ALPHABET[last | bit])


@SERIALIZATION.attack("B7", "a segment of an impossible length", R1)
def impossible_length(mint: "Mint") -> Iterator[Variant]:
    parts = mint.delegated().text.split(".")
    for place, name in enumerate(("header", "payload", "signature")):
        changed = [*parts]
        changed[place] = parts[place][: len(parts[place]) // 4 * 4 - 3]
        yield with_token(mint, name, ".".join(changed))


@SERIALIZATION.attack("B8", "blanks or line breaks around the token", R2)
def blanks_around(mint: "Mint") -> Iterator[Variant]:
    text = mint.delegated().text
    for blank in (" ", "\t", "\n", "\r\n"):
        yield with_token(mint, f"{blank!r} before", blank + text)
        yield with_token(mint, f"{blank!r} after", text + blank)


@SERIALIZATION.attack("B9", "a detached payload", R1)
def detached(mint: "Mint") -> Iterator[Variant]:
    head, _, tail = mint.delegated().text.split(".")
    yield with_token(mint, "taken out", f"{head}..{tail}")
    yield with_token(mint, "signed so", forged(mint, payload=b""))


@SERIALIZATION.attack("B10", "an unencoded payload that crit speaks of", R1)
def unencoded_with_crit(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated().headed(b64=False, crit=["b64"])
    yield with_token(mint, "encoded all the same", token)
    yield with_token(mint, "signed unencoded", _signed_unencoded(mint, {"crit": ["b64"]}))


@SERIALIZATION.attack("B11", "an unencoded payload without crit", R1)
def unencoded_without_crit(mint: "Mint") -> Iterator[Variant]:
    yield with_token(mint, "encoded all the same", mint.delegated().headed(b64=False))
    yield with_token(mint, "signed unencoded", _signed_unencoded(mint, {}))


def _signed_unencoded(mint: "Mint", more: dict[str, object]) -> str:
    """RFC 7797 §5: what is signed is the payload itself, and not its base64url."""
    token = mint.delegated()
    header = {**token.header, "b64": False, **more}
    head = segment(header)
    signature = token.key.sign(head.encode() + b"." + raw_json(token.payload))
    return f"{head}.{segment(token.payload)}.{segment(signature)}"


@SERIALIZATION.attack("B12", "JSON in another encoding", R1)
def other_encodings(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated()
    for name, codec in (("BOM", "utf-8-sig"), ("UTF-16", "utf-16"), ("UTF-16-LE", "utf-16-le"),
                        ("UTF-32", "utf-32")):  # fmt: skip
        header = json.dumps(token.header).encode(codec)
        payload = json.dumps(token.payload).encode(codec)
        yield with_token(mint, f"{name} header", forged(mint, header=header))
        yield with_token(mint, f"{name} payload", forged(mint, payload=payload))
    octets = raw_json(token.payload)
    for name, bad in (("Latin-1", b"\xe9"), ("overlong", b"\xc0\xaf"), ("cut", b"\xe2\x82")):
        payload = octets[:-1] + b',"x":"' + bad + b'"}'
        yield with_token(mint, f"{name} payload", forged(mint, payload=payload))
        header = raw_json(token.header)[:-1] + b',"x":"' + bad + b'"}'
        yield with_token(mint, f"{name} header", forged(mint, header=header))


@SERIALIZATION.attack("B13", "JSON that is no object", R1)
def no_object(mint: "Mint") -> Iterator[Variant]:
    for text in ("[]", '["a"]', '"text"', "5", "null", "true", "", "{", "{}{}"):
        yield with_token(mint, f"header {text}", forged(mint, header=text.encode()))
        yield with_token(mint, f"payload {text}", forged(mint, payload=text.encode()))


@SERIALIZATION.attack("B14", "nesting deep enough to fill a stack", R1, within=2)
def deep_nesting(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated()
    for depth in (1_000, 5_000, 100_000):
        for name, opening, closing in (("lists", "[", "]"), ("objects", '{"a":', "}")):
            inner = opening * depth + ("1" if name == "objects" else "") + closing * depth
            deep = b',"x":' + inner.encode() + b"}"
            payload = raw_json(token.payload)[:-1] + deep
            header = raw_json(token.header)[:-1] + deep
            yield with_token(mint, f"{depth} {name} in the payload", forged(mint, payload=payload))
            yield with_token(mint, f"{depth} {name} in the header", forged(mint, header=header))
            unclosed = raw_json(token.payload)[:-1] + b',"x":' + opening.encode() * depth
            yield with_token(mint, f"{depth} {name}, never closed", forged(mint, payload=unclosed))


@SERIALIZATION.attack("B15", "ten megabytes of payload", R1, within=2)
def huge_payload(mint: "Mint") -> Iterator[Variant]:
    token = mint.delegated()
    one_string = {**token.payload, "x": "x" * 10_000_000}
    members = {**token.payload, **{f"m{number}": number for number in range(100_000)}}
    for name, payload in (("one string", one_string), ("100,000 members", members)):
        text = compact(token.header, raw_json(payload), token.key)
        yield tried(name, mint.carry(text))
