"""Why a token or a key could not be accepted."""

__all__ = [
    "AlgorithmRefused",
    "ClaimRefused",
    "DecryptionFailed",
    "HeaderRefused",
    "JoseError",
    "KeyAmbiguous",
    "KeyNotFound",
    "KeyRefused",
    "KeyRetired",
    "Malformed",
    "SignatureInvalid",
]


class JoseError(Exception):
    """Something was refused. `reason` is for the log: fixed words, never a part of the token."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Malformed(JoseError):
    """These bytes are not what they claim to be."""


class HeaderRefused(JoseError):
    """The JOSE header asks for something we do not do."""


class AlgorithmRefused(JoseError):
    """The algorithm is unknown, not allowed here, or not this key's."""


class KeyRefused(JoseError):
    """A JWK that is unreadable, unsafe or not for this purpose."""


class KeyNotFound(JoseError):
    """No key of the set has this `kid`, or none suits; fresher keys may help."""


class KeyRetired(JoseError):
    """The key of this `kid` was ours, and its overlap is over."""


class KeyAmbiguous(JoseError):
    """Several keys would suit; trying each in turn is what an attacker would like."""


class SignatureInvalid(JoseError):
    """The signature does not belong to this content and key."""


class DecryptionFailed(JoseError):
    """The content was not encrypted to this key, or it was changed.

    It has one reason for all causes: an attacker who can tell a wrong key from a wrong tag or a
    wrong padding decrypts other people's tokens with that knowledge.
    """

    def __init__(self) -> None:
        super().__init__("the content cannot be decrypted")


class ClaimRefused(JoseError):
    """A claim is missing, of the wrong type, or says that this token is not for here and now."""

    def __init__(self, claim: str, reason: str) -> None:
        super().__init__(f"{claim} {reason}")
        self.claim = claim
