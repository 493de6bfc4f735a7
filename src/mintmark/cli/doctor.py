"""`mintmark doctor`: a token server as a client and an API would meet it."""

from contextlib import closing

from mintmark.cli.failure import ExitStatus, Failure
from mintmark.client import Authority, AuthorityUnavailable
from mintmark.fetch import FetchPolicy

__all__ = ["examine"]


def examine(issuer: str, *, insecure_allow_http_on_loopback: bool) -> None:
    """Print what the server offers. Raises `Failure` when it cannot be used."""
    policy = FetchPolicy(insecure_allow_http_on_loopback=insecure_allow_http_on_loopback)
    with closing(Authority(issuer, policy=policy)) as authority:
        try:
            metadata, keys = authority.metadata(), authority.keys()
        except AuthorityUnavailable as failure:
            raise Failure(f"{issuer}: {failure.reason}", ExitStatus.ISSUER) from None
    for key in keys.keys:
        print(f"key      {key.kid}  {' '.join(sorted(key.algorithms))}")
    for dropped in keys.dropped:
        print(f"not used {dropped}")
    for name in ("authorization", "token", "userinfo", "revocation", "end_session"):
        print(f"{name:14} {getattr(metadata, f'{name}_endpoint') or '-'}")
    if not keys.keys:
        raise Failure(f"{issuer}: no key that tokens could be checked with", ExitStatus.ISSUER)
    print(f"{issuer}: fine")
