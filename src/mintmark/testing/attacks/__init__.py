"""The attack list: hostile requests as data, and the one right answer beside each.

`ATTACKS` has an entry for each line of the list, from A1 to N8. Nothing here knows an application;
`mintmark.testing.playing.play` throws an entry at one, and the pytest plugin all of them.
"""

from typing import Final

from mintmark.testing.attacks.authorization import AUTHORIZATION
from mintmark.testing.attacks.claims import CLAIMS
from mintmark.testing.attacks.confusion import CONFUSION
from mintmark.testing.attacks.dpop_replay import REPLAYS
from mintmark.testing.attacks.encrypted import ENCRYPTED
from mintmark.testing.attacks.exhaustion import EXHAUSTION
from mintmark.testing.attacks.introspection import INTROSPECTION
from mintmark.testing.attacks.jose_header import JOSE_HEADER
from mintmark.testing.attacks.key_endpoints import KEY_ENDPOINTS
from mintmark.testing.attacks.model import Attack
from mintmark.testing.attacks.mutual_tls import MUTUAL_TLS
from mintmark.testing.attacks.request_shape import REQUEST_SHAPE
from mintmark.testing.attacks.serialization import SERIALIZATION
from mintmark.testing.attacks.signatures import SIGNATURES
from mintmark.testing.attacks.times import TIMES

__all__ = ["ATTACKS", "Attack"]


_GROUPS: Final = (
    REQUEST_SHAPE,
    SERIALIZATION,
    JOSE_HEADER,
    KEY_ENDPOINTS,
    SIGNATURES,
    CLAIMS,
    TIMES,
    CONFUSION,
    ENCRYPTED,
    REPLAYS,
    MUTUAL_TLS,
    INTROSPECTION,
    AUTHORIZATION,
    EXHAUSTION,
)

ATTACKS: Final[dict[str, Attack]] = {
    attack.id: attack
    for group in _GROUPS
    for attack in sorted(group, key=lambda attack: int(attack.id[1:]))
}
