"""Tokens as each vendor writes them: who is calling, and what is refused rather than guessed at.

Each hostile token is an honest one with one thing changed, so its honest twin is beside it.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.api.callers import NOW

from mintmark.api.caller import Caller, CallerKind, make_caller
from mintmark.api.dialects import (
    AUTH0,
    ENTRA,
    MINTMARK,
    OKTA,
    RFC9068,
    Dialect,
    Leniency,
    cognito,
    keycloak,
)
from mintmark.api.policy import Allowed, Forbidden, MissingScopes, client, group, kind, role, scope
from mintmark.jose.errors import ClaimRefused

Claims = dict[str, Any]
TIMES: Claims = {"exp": 2, "iat": 1}
KEYCLOAK = keycloak()
COGNITO = cognito("1example23456789", "job")
TID = "9188040d-6c67-4c5b-b112-36a304b66dad"

STANDARD: Claims = TIMES | {
    "iss": "https://id.example", "sub": "alice", "aud": "https://api.example", "client_id": "web",
    "jti": "j", "scope": "read write", "roles": ["admin"], "groups": ["staff"],
}  # fmt: skip
ENTRA_V2: Claims = TIMES | {
    "iss": f"https://login.microsoftonline.com/{TID}/v2.0", "aud": "api-id", "nbf": 1, "tid": TID,
    "oid": "person-oid", "sub": "pairwise", "azp": "web", "azpacr": "1", "ver": "2.0",
    "scp": "access_as_user read", "roles": ["Admin"], "groups": ["g-1"],
}  # fmt: skip
ENTRA_V1: Claims = TIMES | {
    "iss": f"https://sts.windows.net/{TID}/", "aud": "api://api-id", "nbf": 1, "tid": TID,
    "oid": "person-oid", "sub": "pairwise", "appid": "web", "appidacr": "1", "ver": "1.0",
    "scp": "access_as_user",
}  # fmt: skip
ENTRA_APP: Claims = TIMES | {
    "iss": f"https://login.microsoftonline.com/{TID}/v2.0", "aud": "api-id", "nbf": 1, "tid": TID,
    "oid": "principal", "sub": "principal", "azp": "job", "ver": "2.0", "roles": ["Jobs.Run"],
    "idtyp": "app",
}  # fmt: skip
AUTH0_USER: Claims = TIMES | {
    "iss": "https://shop.auth0.example/", "sub": "auth0|alice", "aud": ["api", "userinfo"],
    "azp": "web", "scope": "openid read", "permissions": ["read:orders"],
}  # fmt: skip
AUTH0_APP: Claims = TIMES | {
    "iss": "https://shop.auth0.example/", "sub": "job@clients", "aud": "api", "azp": "job",
    "scope": "index", "gty": "client-credentials",
}  # fmt: skip
OKTA_USER: Claims = TIMES | {
    "ver": 1, "jti": "AT.1", "iss": "https://shop.okta.example/oauth2/default", "aud": "api",
    "sub": "alice@example.com", "uid": "00u1", "cid": "0oa1", "scp": ["openid", "read"],
    "groups": ["Everyone"],
}  # fmt: skip
OKTA_APP: Claims = TIMES | {
    "ver": 1, "jti": "AT.2", "iss": "https://shop.okta.example/oauth2/default", "aud": "api",
    "sub": "0oa2", "cid": "0oa2", "scp": ["index"],
}  # fmt: skip
KEYCLOAK_USER: Claims = TIMES | {
    "iss": "https://kc.example/realms/shop", "jti": "j", "sub": "f-1", "aud": ["orders", "account"],
    "typ": "Bearer", "azp": "web", "sid": "s", "scope": "openid read", "acr": "1",
    "preferred_username": "alice", "realm_access": {"roles": ["user"]},
    "resource_access": {"orders": {"roles": ["admin"]}, "account": {"roles": ["view-profile"]}},
}  # fmt: skip
KEYCLOAK_APP: Claims = TIMES | {
    "iss": "https://kc.example/realms/shop", "jti": "j", "sub": "f-2", "aud": "orders",
    "typ": "Bearer", "azp": "Job", "client_id": "Job", "scope": "index",
    "preferred_username": "service-account-job", "realm_access": {"roles": ["worker"]},
}  # fmt: skip
COGNITO_USER: Claims = TIMES | {
    "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x", "sub": "aaaa-bbbb",
    "client_id": "1example23456789", "token_use": "access", "scope": "orders/read", "jti": "j",
    "username": "alice", "auth_time": 1, "cognito:groups": ["staff"], "version": 2,
}  # fmt: skip
COGNITO_APP: Claims = TIMES | {
    "iss": "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_x", "sub": "job",
    "client_id": "job", "token_use": "access", "scope": "orders/index", "jti": "j", "version": 2,
}  # fmt: skip


def changed(claims: Mapping[str, Any], **changes: Any) -> Claims:
    """A copy; a member that becomes `...` is left out."""
    return {name: value for name, value in (dict(claims) | changes).items() if value is not ...}


def caller(dialect: Dialect, claims: Mapping[str, Any]) -> Caller:
    return make_caller(
        claims, dialect.read(claims), issuer=claims["iss"], audience=(), expires_at=NOW,
        digest=b"d" * 32,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "claims", "expected"),
    [
        (RFC9068, STANDARD, ("delegated", "alice", "web", "read write", "admin", "staff")),
        (RFC9068, changed(STANDARD, sub="web", roles=...),
            ("application", "web", "web", "read write", "", "staff")),
        (MINTMARK, STANDARD, ("delegated", "alice", "web", "read write", "admin", "staff")),
        (RFC9068, changed(STANDARD, act={"sub": "gw"}),
            ("on_behalf", "alice", "web", "read write", "admin", "staff")),
        (ENTRA, ENTRA_V2, ("delegated", "pairwise", "web", "access_as_user read", "Admin", "g-1")),
        (ENTRA, changed(ENTRA_V2, idtyp="user"),
            ("delegated", "pairwise", "web", "access_as_user read", "Admin", "g-1")),
        (ENTRA, ENTRA_V1, ("delegated", "pairwise", "web", "access_as_user", "", "")),
        (ENTRA, ENTRA_APP, ("application", "principal", "job", "", "Jobs.Run", "")),
        (ENTRA, changed(ENTRA_APP, idtyp=...),
            ("application", "principal", "job", "", "Jobs.Run", "")),
        (AUTH0, AUTH0_USER, ("delegated", "auth0|alice", "web", "openid read", "read:orders", "")),
        (AUTH0, AUTH0_APP, ("application", "job@clients", "job", "index", "", "")),
        (AUTH0, changed(AUTH0_APP, azp=..., client_id="job", gty=..., jti="j"),
            ("application", "job@clients", "job", "index", "", "")),
        (OKTA, OKTA_USER,
            ("delegated", "alice@example.com", "0oa1", "openid read", "", "Everyone")),
        (OKTA, OKTA_APP, ("application", "0oa2", "0oa2", "index", "", "")),
        (KEYCLOAK, KEYCLOAK_USER, ("delegated", "f-1", "web", "openid read", "user", "")),
        (keycloak("orders"), KEYCLOAK_USER,
            ("delegated", "f-1", "web", "openid read", "admin", "")),
        (keycloak("order"), KEYCLOAK_USER, ("delegated", "f-1", "web", "openid read", "", "")),
        (KEYCLOAK, changed(KEYCLOAK_USER, preferred_username=...),
            ("delegated", "f-1", "web", "openid read", "user", "")),
        (KEYCLOAK, KEYCLOAK_APP, ("application", "f-2", "Job", "index", "worker", "")),
        (KEYCLOAK, changed(KEYCLOAK_APP, preferred_username=...),
            ("application", "f-2", "Job", "index", "worker", "")),
        (COGNITO, COGNITO_USER,
            ("delegated", "aaaa-bbbb", "1example23456789", "orders/read", "", "staff")),
        (COGNITO, COGNITO_APP, ("application", "job", "job", "orders/index", "", "")),
    ],
)  # fmt: skip
def test_s28_an_honest_token_of_each_issuer(
    dialect: Dialect, claims: Claims, expected: tuple[str, ...]
) -> None:
    """RFC 9068 §5 for the standard; for the others what their own documentation says."""
    found = dialect.read(claims)

    sets = (found.scopes, found.roles, found.groups)
    said = (found.kind, found.subject, found.client_id, *(" ".join(sorted(one)) for one in sets))
    assert said == expected


@pytest.mark.parametrize(
    ("dialect", "honest", "change", "claim"),
    [
        (RFC9068, STANDARD, {"client_id": ...}, "client_id"),
        (RFC9068, STANDARD, {"jti": ...}, "jti"),
        (RFC9068, STANDARD, {"azp": "other"}, "client_id"),
        (RFC9068, STANDARD, {"sub": 1}, "sub"),
        (RFC9068, STANDARD, {"scope": None}, "scope"),
        (ENTRA, ENTRA_V2, {"idtyp": "app"}, "idtyp"),
        (ENTRA, ENTRA_V2, {"idtyp": "device"}, "idtyp"),
        (ENTRA, ENTRA_V2, {"scp": ...}, "idtyp"),
        (ENTRA, ENTRA_APP, {"idtyp": "user"}, "scp"),
        (ENTRA, ENTRA_APP, {"idtyp": ["app"]}, "idtyp"),
        (ENTRA, ENTRA_V2, {"tid": "another-tenant"}, "tid"),
        (ENTRA, ENTRA_V2, {"tid": ""}, "tid"),
        (ENTRA, ENTRA_V2, {"ver": "1.0"}, "ver"),
        (ENTRA, ENTRA_V1, {"ver": "2.0"}, "ver"),
        (ENTRA, ENTRA_V2, {"ver": "3.0"}, "ver"),
        (ENTRA, ENTRA_V2, {"ver": 2.0}, "ver"),
        (ENTRA, ENTRA_V2, {"oid": ...}, "oid"),
        (ENTRA, ENTRA_V2, {"appid": "other"}, "azp"),
        (ENTRA, ENTRA_V2, {"azp": ...}, "azp"),
        (AUTH0, AUTH0_APP, {"azp": "other"}, "sub"),
        (AUTH0, AUTH0_APP, {"gty": "password"}, "gty"),
        (AUTH0, AUTH0_USER, {"gty": "client-credentials"}, "gty"),
        (AUTH0, AUTH0_USER, {"client_id": "other"}, "azp"),
        (AUTH0, AUTH0_USER, {"at_hash": "x"}, "at_hash"),
        (OKTA, OKTA_USER, {"uid": ...}, "uid"),
        (OKTA, OKTA_APP, {"uid": "00u1"}, "uid"),
        (OKTA, OKTA_USER, {"cid": ...}, "cid"),
        (OKTA, OKTA_USER, {"scp": ["openid read"]}, "scp"),
        (KEYCLOAK, KEYCLOAK_USER, {"typ": "ID"}, "typ"),
        (KEYCLOAK, KEYCLOAK_USER, {"typ": "Refresh"}, "typ"),
        (KEYCLOAK, KEYCLOAK_USER, {"typ": ...}, "typ"),
        (KEYCLOAK, KEYCLOAK_USER, {"preferred_username": "service-account-web"},
            "preferred_username"),
        (KEYCLOAK, KEYCLOAK_USER, {"preferred_username": ..., "sid": ...}, "preferred_username"),
        (KEYCLOAK, KEYCLOAK_APP, {"preferred_username": "service-account-other"},
            "preferred_username"),
        (KEYCLOAK, KEYCLOAK_APP, {"client_id": "other"}, "azp"),
        (KEYCLOAK, KEYCLOAK_USER, {"realm_access": {"roles": [1]}},
            "roles"),
        (COGNITO, COGNITO_USER, {"token_use": "id"}, "token_use"),
        (COGNITO, COGNITO_USER, {"token_use": ...}, "token_use"),
        (COGNITO, COGNITO_USER, {"client_id": "another-apis"}, "client_id"),
        (COGNITO, COGNITO_USER, {"username": ...}, "username"),
        (COGNITO, COGNITO_APP, {"username": "alice"}, "username"),
    ],
)  # fmt: skip
def test_a_token_that_contradicts_itself_is_refused(
    dialect: Dialect, honest: Claims, change: Claims, claim: str
) -> None:
    dialect.read(honest)

    with pytest.raises(ClaimRefused) as refused:
        dialect.read(changed(honest, **change))
    assert refused.value.claim == claim


@pytest.mark.parametrize(
    ("dialect", "claims"),
    [(RFC9068, STANDARD), (ENTRA, ENTRA_V2), (ENTRA, ENTRA_APP), (AUTH0, AUTH0_APP),
     (OKTA, OKTA_USER), (KEYCLOAK, KEYCLOAK_USER), (KEYCLOAK, KEYCLOAK_APP),
     (COGNITO, COGNITO_USER)],
)  # fmt: skip
def test_whatever_stands_in_a_claim_nothing_foreign_is_raised(
    dialect: Dialect, claims: Claims
) -> None:
    refused = 0
    values: list[Any] = [None, True, 0, -1.5, "", "x", [], [None], ["x"], {}, {"roles": None}, [[]]]
    for name in claims:
        for value in values:
            try:
                caller(dialect, changed(claims, **{name: value}))
            except ClaimRefused:
                refused += 1
    assert refused > 30


class TestChecks:
    """What the core asks for before a dialect reads anything."""

    @pytest.mark.parametrize("dialect", [RFC9068, MINTMARK])
    def test_the_standard_takes_its_own_type_alone(self, dialect: Dialect) -> None:
        """RFC 9068 §2.2, RFC 9068 §4."""
        assert dialect.checks.typ == {"at+jwt"}
        assert dialect.checks.required == {"iss", "exp", "iat", "sub", "aud", "client_id", "jti"}
        assert dialect.checks.audience

    def test_only_cognito_names_no_audience_and_so_it_names_its_clients(self) -> None:
        every = [RFC9068, MINTMARK, ENTRA, AUTH0, OKTA, KEYCLOAK, COGNITO]

        assert [one.name for one in every if not one.checks.audience] == ["Cognito"]
        assert all("aud" in one.checks.required for one in every if one.checks.audience)
        for wrong in ((), ("",)):
            with pytest.raises(ValueError, match="cognito"):
                cognito(*wrong)

    def test_leniency_has_a_name(self) -> None:
        lenient = RFC9068.lenient(Leniency.TYP_JWT, Leniency.NO_JTI)

        assert lenient.name == "RFC 9068 (typ may be JWT, jti may be absent)"
        assert lenient.checks.typ == {"at+jwt", "jwt"}
        assert RFC9068.lenient(Leniency.TYP_ABSENT).checks.typ == {"at+jwt", None}
        assert lenient.read(changed(STANDARD, jti=...)).subject == "alice"
        with pytest.raises(ClaimRefused):
            RFC9068.read(changed(STANDARD, jti=...))

    def test_h1_where_the_type_tells_nothing_an_id_token_is_known_by_its_claims(self) -> None:
        lenient = RFC9068.lenient(Leniency.TYP_JWT)

        assert lenient.read(STANDARD).subject == "alice"
        for name in ("at_hash", "c_hash", "s_hash"):
            with pytest.raises(ClaimRefused):
                lenient.read(STANDARD | {name: "x"})
        assert RFC9068.read(STANDARD | {"at_hash": "x"}).subject == "alice"


class TestPolicies:
    """The same policy says the same of every issuer's tokens."""

    def test_w97_the_scopes_of_an_entra_token_are_checked(self) -> None:
        """W-97: a check that looked elsewhere let every token of the tenant pass."""
        wanted = scope("access_as_user")

        assert wanted.decide(caller(ENTRA, ENTRA_V2), NOW) == Allowed()
        without = caller(ENTRA, changed(ENTRA_V2, scp="read"))
        assert wanted.decide(without, NOW) == MissingScopes(frozenset({"access_as_user"}))
        # An application's role of the same name is no person's consent.
        application = caller(ENTRA, changed(ENTRA_APP, roles=["access_as_user"]))
        assert wanted.decide(application, NOW) == MissingScopes(frozenset({"access_as_user"}))

    @pytest.mark.parametrize(
        ("dialect", "person", "application"),
        [(ENTRA, ENTRA_V2, ENTRA_APP), (AUTH0, AUTH0_USER, AUTH0_APP), (OKTA, OKTA_USER, OKTA_APP),
         (KEYCLOAK, KEYCLOAK_USER, KEYCLOAK_APP), (COGNITO, COGNITO_USER, COGNITO_APP),
         (RFC9068, STANDARD, changed(STANDARD, sub="web"))],
    )  # fmt: skip
    def test_w59_s28_no_application_passes_for_a_person_nor_a_person_for_one(
        self, dialect: Dialect, person: Claims, application: Claims
    ) -> None:
        """W-59: told apart by nothing, one client's two kinds of token open the same doors."""
        for wanted, own, other in (
            (CallerKind.DELEGATED, person, application),
            (CallerKind.APPLICATION, application, person),
        ):
            assert kind(wanted).decide(caller(dialect, own), NOW) == Allowed()
            assert kind(wanted).decide(caller(dialect, other), NOW) == Forbidden("wrong_kind")

    def test_roles_of_a_realm_are_none_of_a_client(self) -> None:
        realm, ours = caller(KEYCLOAK, KEYCLOAK_USER), caller(keycloak("orders"), KEYCLOAK_USER)

        assert role("admin").decide(realm, NOW) == Forbidden("missing_role")
        assert role("admin").decide(ours, NOW) == Allowed()
        assert role("user").decide(ours, NOW) == Forbidden("missing_role")

    def test_cognito_groups_and_auth0_permissions(self) -> None:
        assert group("staff").decide(caller(COGNITO, COGNITO_USER), NOW) == Allowed()
        person = caller(AUTH0, AUTH0_USER)
        assert role("read:orders").decide(person, NOW) == Allowed()
        assert role("read").decide(person, NOW) == Forbidden("missing_role")
        assert client("web").decide(person, NOW) == Allowed()
