"""What the tokens of one kind of issuer look like, and who they say is calling.

RFC 9068 is the rule; a dialect is an exception that somebody chose by its name. Where a dialect
cannot tell an application from a person it refuses the token, for whoever guesses lets the one in
where only the other may.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final, final

from mintmark.api.caller import CallerKind, Identity
from mintmark.api.claim_map import read_names, read_scopes, read_text
from mintmark.api.policy.claims import MISSING, Path, find
from mintmark.jose.errors import ClaimRefused

__all__ = [
    "AUTH0",
    "ENTRA",
    "MINTMARK",
    "OKTA",
    "RFC9068",
    "Checks",
    "Dialect",
    "Leniency",
    "cognito",
    "keycloak",
]

KindOf = Callable[[Mapping[str, Any], str, str], CallerKind]
"""Of claims, subject and client id. Raises `ClaimRefused` where it cannot tell."""

_AT_JWT: Final = frozenset({"at+jwt"})
_EITHER: Final = frozenset({"at+jwt", "jwt"})
_ALWAYS: Final = frozenset({"iss", "exp", "iat", "sub"})


class Leniency(Enum):
    """What may be overlooked, by name, so that it stands in the settings for everybody to see."""

    TYP_JWT = "typ may be JWT"
    TYP_ABSENT = "typ may be absent"
    NO_JTI = "jti may be absent"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """What to demand of a token before anything else is read from it.

    Attributes:
        typ: what the header may say, in lower case and without `application/`; None is silence.
        required: claims that must be there.
        audience: whether `aud` must be there. If it is, it must name the API in any case.
    """

    typ: frozenset[str | None]
    required: frozenset[str]
    audience: bool = True


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Where things are in the claims; the places of one thing must not contradict each other."""

    name: str
    checks: Checks
    kind: KindOf
    client_id: tuple[Path, ...] = (("client_id",),)
    scopes: Path = ("scope",)
    roles: Path = ("roles",)
    groups: Path = ("groups",)
    # Claims that must be one of these, for they tell an access token from its neighbours.
    fixed: tuple[tuple[str, frozenset[str]], ...] = ()

    def read(self, claims: Mapping[str, Any]) -> Identity:
        """Who is calling, out of claims that are proved.

        Raises:
            ClaimRefused: something is missing, contradicts itself, or is no access token's.
        """
        self._require_shape(claims)
        subject = read_text(claims["sub"], "sub")
        client_id = self._client_id(claims)
        kind = self.kind(claims, subject, client_id)
        return Identity(
            kind=CallerKind.ON_BEHALF if "act" in claims else kind,
            subject=subject,
            client_id=client_id,
            scopes=read_scopes(find(claims, self.scopes), self.scopes[-1]),
            roles=read_names(find(claims, self.roles), self.roles[-1]),
            groups=read_names(find(claims, self.groups), self.groups[-1]),
        )

    def lenient(self, *leniencies: Leniency) -> "Dialect":
        """The same, overlooking these."""
        checks = self.checks
        for one in leniencies:
            match one:
                case Leniency.TYP_JWT:
                    checks = replace(checks, typ=checks.typ | {"jwt"})
                case Leniency.TYP_ABSENT:
                    checks = replace(checks, typ=checks.typ | {None})
                case Leniency.NO_JTI:
                    checks = replace(checks, required=checks.required - {"jti"})
        name = f"{self.name} ({', '.join(one.value for one in leniencies)})"
        return replace(self, name=name, checks=checks)

    def _require_shape(self, claims: Mapping[str, Any]) -> None:
        for name in self.checks.required:
            if name not in claims:
                raise ClaimRefused(name, "is missing")
        for name, values in self.fixed:
            found = claims.get(name)
            if type(found) is not str or found not in values:
                raise ClaimRefused(name, "is not an access token's")
        # OpenID Connect Core §3.1.3.6: these are in ID tokens alone. Where `typ` does not tell
        # the two apart, this does.
        if self.checks.typ != _AT_JWT and not _ID_TOKEN.isdisjoint(claims):
            raise ClaimRefused("at_hash", "is an ID token's")

    def _client_id(self, claims: Mapping[str, Any]) -> str:
        found = [(path, find(claims, path)) for path in self.client_id]
        ids = {read_text(value, ".".join(path)) for path, value in found if value is not MISSING}
        if len(ids) != 1:
            raise ClaimRefused(".".join(self.client_id[0]), "is missing or contradicted")
        return ids.pop()


_ID_TOKEN: Final = frozenset({"at_hash", "c_hash", "s_hash"})


def _plain_kind(claims: Mapping[str, Any], subject: str, client_id: str) -> CallerKind:
    # RFC 9068 §5: without a person `sub` is the client.
    del claims
    return CallerKind.APPLICATION if subject == client_id else CallerKind.DELEGATED


RFC9068: Final = Dialect(
    name="RFC 9068",
    # RFC 9068 §2.2
    checks=Checks(typ=_AT_JWT, required=_ALWAYS | {"aud", "client_id", "jti"}),
    # RFC 9068 §4 knows no `azp`; an issuer that says both must mean the same by them.
    client_id=(("client_id",), ("azp",)),
    kind=_plain_kind,
)
"""The standard itself, and the default."""

MINTMARK: Final = replace(RFC9068, name="Mintmark")
"""Our own server: the standard, with nothing left out."""


def _entra_kind(claims: Mapping[str, Any], subject: str, client_id: str) -> CallerKind:
    del client_id
    _require_own_tenant(claims)
    said = claims.get("idtyp")
    if said not in (None, "app", "user"):
        raise ClaimRefused("idtyp", "is neither app nor user")
    # `scp` is what a person consented to; an application's rights are `roles`.
    if "scp" in claims:
        if said == "app":
            raise ClaimRefused("idtyp", "says app, and scp says a person")
        return CallerKind.DELEGATED
    if said == "user":
        raise ClaimRefused("scp", "is missing from a person's token")
    # Without `idtyp`, which an API has to ask its registration for: a service principal is the
    # subject of its own tokens, and a person's `sub` is never their `oid`.
    if said is None and subject != claims["oid"]:
        raise ClaimRefused("idtyp", "is missing, and nothing else tells who this is")
    return CallerKind.APPLICATION


def _require_own_tenant(claims: Mapping[str, Any]) -> str:
    # The keys of all tenants are the same ones, so this is what keeps them apart.
    tid = read_text(claims["tid"], "tid")
    if tid not in str(claims["iss"]).split("/"):
        raise ClaimRefused("tid", "is not the issuer's tenant")
    # Version 1 calls the client `appid`, version 2 `azp`; the other one is nothing to go by.
    if ("appid" if claims["ver"] == "1.0" else "azp") not in claims:
        raise ClaimRefused("ver", "does not fit the claim that names the client")
    return tid


ENTRA: Final = Dialect(
    name="Entra",
    checks=Checks(typ=frozenset({"jwt"}), required=_ALWAYS | {"aud", "nbf", "oid", "tid", "ver"}),
    client_id=(("azp",), ("appid",)),
    scopes=("scp",),
    fixed=(("ver", frozenset({"1.0", "2.0"})),),
    kind=_entra_kind,
)
"""Microsoft Entra ID, tokens of version 1 and 2.

`sub` is one person at this API; `oid` with `tid` is the same person everywhere. A person in too
many groups has none in the token, so let no policy ask that somebody be *not* in a group.
"""


def _auth0_kind(claims: Mapping[str, Any], subject: str, client_id: str) -> CallerKind:
    own = subject == f"{client_id}@clients"
    if subject.endswith("@clients") and not own:
        raise ClaimRefused("sub", "is another client's")
    if "gty" in claims and (claims["gty"] == "client-credentials") is not own:
        raise ClaimRefused("gty", "contradicts sub")
    return CallerKind.APPLICATION if own else CallerKind.DELEGATED


AUTH0: Final = Dialect(
    name="Auth0",
    checks=Checks(typ=_EITHER, required=_ALWAYS | {"aud"}),
    client_id=(("azp",), ("client_id",)),
    roles=("permissions",),
    kind=_auth0_kind,
)
"""Auth0, both of its token profiles. Permissions are roles here: they are given by an
administrator, so asking for another scope would not help."""


def _okta_kind(claims: Mapping[str, Any], subject: str, client_id: str) -> CallerKind:
    own = subject == client_id
    if own is ("uid" in claims):
        raise ClaimRefused("uid", "contradicts sub")
    return CallerKind.APPLICATION if own else CallerKind.DELEGATED


OKTA: Final = Dialect(
    name="Okta",
    checks=Checks(typ=frozenset({"at+jwt", "jwt", None}), required=_ALWAYS | {"aud", "cid", "jti"}),
    client_id=(("cid",),),
    scopes=("scp",),
    kind=_okta_kind,
)
"""Okta's own authorization servers; the organisation's default one makes tokens for Okta alone."""


def _keycloak_kind(claims: Mapping[str, Any], subject: str, client_id: str) -> CallerKind:
    del subject
    session = "sid" in claims or "session_state" in claims
    user = claims.get("preferred_username")
    if user is None:
        # No profile in the token. A service account has no session, and its client is named twice.
        if session:
            return CallerKind.DELEGATED
        if "client_id" in claims:
            return CallerKind.APPLICATION
        raise ClaimRefused("preferred_username", "is missing, and nothing else tells who this is")
    if not str(user).startswith("service-account-"):
        return CallerKind.DELEGATED
    # People may choose their names; what they cannot choose is to have no session.
    if session or user != f"service-account-{client_id.lower()}":
        raise ClaimRefused("preferred_username", "is a service account's, and the rest is not")
    return CallerKind.APPLICATION


def keycloak(client: str | None = None) -> Dialect:
    """Keycloak.

    Args:
        client: whose roles count: those of this client (the API's own, as a rule). Without it,
            the realm's. Never both, for a role of one would pass for the other's.
    """
    roles = ("resource_access", client, "roles") if client else ("realm_access", "roles")
    return Dialect(
        name=f"Keycloak ({client})" if client else "Keycloak",
        checks=Checks(typ=_EITHER, required=_ALWAYS | {"aud", "azp", "jti", "typ"}),
        client_id=(("azp",), ("client_id",)),
        roles=roles,
        # ID and refresh tokens are signed with the same keys, and say so in a claim.
        fixed=(("typ", frozenset({"Bearer", "DPoP"})),),
        kind=_keycloak_kind,
    )


def _cognito_kind(claims: Mapping[str, Any], subject: str, client_id: str) -> CallerKind:
    own = subject == client_id
    if own is ("username" in claims):
        raise ClaimRefused("username", "contradicts sub")
    return CallerKind.APPLICATION if own else CallerKind.DELEGATED


def cognito(*clients: str) -> Dialect:
    """Amazon Cognito.

    Args:
        clients: which clients' tokens are for this API. They name no audience, so nothing else
            keeps those of another API of the same pool out.
    """
    if not clients or not all(clients):
        raise ValueError("cognito: name the clients whose tokens are for this API")
    return Dialect(
        name="Cognito",
        checks=Checks(
            typ=frozenset({"at+jwt", "jwt", None}),
            required=_ALWAYS | {"client_id", "jti", "token_use"},
            audience=False,
        ),
        groups=("cognito:groups",),
        fixed=(("token_use", frozenset({"access"})), ("client_id", frozenset(clients))),
        kind=_cognito_kind,
    )
