"""D, the other half: an issuer that is down, slow, or lies about its keys."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from mintmark.testing.attacks.key_sets import COOLDOWN, KEY_SETS
from mintmark.testing.attacks.model import (
    ACCEPTED,
    R1,
    R7,
    Fetches,
    Issuer,
    Pause,
    Send,
    Variant,
)
from mintmark.testing.attacks.trying import does, honest, wait

if TYPE_CHECKING:
    from mintmark.testing.authority import FakeAuthority
    from mintmark.testing.mint import Mint

__all__ = ["KEY_ENDPOINTS"]

KEY_ENDPOINTS = KEY_SETS


def _up(issuer: "FakeAuthority") -> None:
    issuer.down = False
    issuer.lies.clear()
    issuer.metadata_changes.clear()


_UP: Final = does(_up)
_DOWN: Final = does(lambda issuer: setattr(issuer, "down", True))


def _lie(**members: Any) -> Issuer:
    from mintmark.testing.faults import Fault

    return does(lambda issuer: issuer.lies.update({"/jwks": Fault(**members)}))


def _lies() -> Mapping[str, Issuer]:
    many = b'{"keys":[' + b",".join([b'{"kty":"EC"}'] * 10_000) + b"]}"
    elsewhere = {"location": "https://evil.example/jwks"}
    return {
        "50 MB": _lie(body=b'{"keys":[],"x":"' + b"x" * 50_000_000 + b'"}'),
        "10,000 keys": _lie(body=many),
        "an error page": _lie(body=b"<html>busy</html>", headers={"content-type": "text/html"}),
        "a redirect": _lie(status=302, headers=elsewhere),
        "no end": _lie(body=b" " * 600, drip=0.05),
        "nothing": _lie(body=b""),
        "no key": _lie(body=b'{"keys":[]}'),
        "a server error": _lie(status=500, body=b"oops"),
    }


@KEY_ENDPOINTS.attack("D14", "a key endpoint that answers nonsense", ACCEPTED)
def nonsense(mint: "Mint") -> Iterator[Variant]:
    for name, lie in _lies().items():
        # Two renewals are due meanwhile; the old keys serve on.
        steps = (honest(mint), lie, wait(minutes=11), honest(mint), Pause(0.2), honest(mint),
                 wait(minutes=11), honest(mint))  # fmt: skip
        yield Variant(name=name, steps=steps, twin=(_UP, wait(minutes=1), honest(mint)))


@KEY_ENDPOINTS.attack("D15", "the issuer is down and its keys are held", ACCEPTED)
def down_and_warm(mint: "Mint") -> Iterator[Variant]:
    steps = (honest(mint), _DOWN, wait(hours=2), honest(mint), wait(hours=20), honest(mint))
    yield Variant(name="for a day", steps=steps, twin=(_UP, wait(minutes=1), honest(mint)))


@KEY_ENDPOINTS.attack("D17", "the issuer is down and the kid unknown", R7)
def down_and_unknown(mint: "Mint") -> Iterator[Variant]:
    rotate = does(lambda issuer: issuer.rotate_key())
    back = (_UP, wait(seconds=COOLDOWN), honest(mint))
    yield Variant(
        name="while it fails",
        steps=(honest(mint, ACCEPTED), rotate, _DOWN, wait(seconds=COOLDOWN), honest(mint)),
        twin=back,
    )
    unknown = Send(lambda: mint.carry(mint.delegated().headed(kid="unknown").text), R1)
    succeeded = (honest(mint, ACCEPTED), wait(seconds=COOLDOWN), unknown, _DOWN)
    steps = (*succeeded, wait(seconds=5), Send(unknown.request, R1))
    yield Variant(name="soon after a fetch that succeeded", steps=steps, twin=back)


@KEY_ENDPOINTS.attack("D19", "metadata of another issuer", R7)
def foreign_metadata(mint: "Mint") -> Iterator[Variant]:
    yield from _metadata(mint, {
        "another issuer": {"issuer": "https://evil.example"},
        "a slash more": {"issuer": mint.issuer.issuer + "/"},
        "no issuer": {"issuer": None},
        "a number": {"issuer": 5},
    })  # fmt: skip


@KEY_ENDPOINTS.attack("D20", "keys on another site, or without TLS", R7)
def keys_elsewhere(mint: "Mint") -> Iterator[Variant]:
    yield from _metadata(mint, {
        "another site": {"jwks_uri": "https://evil.example/jwks"},
        "http on another site": {"jwks_uri": "http://192.0.2.1/jwks"},
        "a file": {"jwks_uri": "file:///etc/passwd"},
        "the cloud's own": {"jwks_uri": "http://169.254.169.254/latest/"},
        "user-info": {"jwks_uri": mint.issuer.issuer.replace("//", "//evil.example@") + "/jwks"},
        "a number": {"jwks_uri": 5},
        "none": {"jwks_uri": None},
    })  # fmt: skip


def _metadata(mint: "Mint", changes: Mapping[str, Mapping[str, Any]]) -> Iterator[Variant]:
    for name, members in changes.items():

        def lie(issuer: "FakeAuthority", members: Mapping[str, Any] = members) -> None:
            issuer.metadata_changes.update(members)

        yield Variant(
            name=name,
            before=(does(lie),),
            steps=(honest(mint), Fetches(0)),
            twin=(_UP, wait(seconds=COOLDOWN), honest(mint)),
        )
