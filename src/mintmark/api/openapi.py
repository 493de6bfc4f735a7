"""OpenAPI that tells the truth: what is enforced is what is written, from the same policies.

Nothing here knows a framework. Somebody who does says which operations there are, and by which
policies each goes.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mintmark.api.answers import (
    Answer,
    insufficient_scope,
    insufficient_user_authentication,
    invalid_request,
    invalid_token,
    no_credentials,
)
from mintmark.api.policy import (
    AUTHENTICATED,
    PUBLIC,
    Bound,
    Forbidden,
    Hidden,
    MissingDetails,
    MissingScopes,
    Need,
    Policy,
    StepUp,
    acr_of,
    needs_of,
    refusals_of,
    scopes_of,
)
from mintmark.api.policy.combined import all_of
from mintmark.protocol.metadata import openid_configuration_url

if TYPE_CHECKING:
    from mintmark.api.gate import Gate

__all__ = ["BEARER", "DPOP", "MUTUAL_TLS", "PROBLEM", "Operation", "described"]

BEARER: Final = "bearer"
DPOP: Final = "dpop"
MUTUAL_TLS: Final = "mutualTLS"
PROBLEM: Final = "GateProblem"
"""The names of our own components. The application's are left as they are."""

CHALLENGE: Final = "WWW-Authenticate"
_PROBLEM_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "Why the gate turned a request away (RFC 9457). It is the same for every cause.",
    "properties": {
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "error": {
            "type": "string",
            "description": "As in the challenge; absent where it has none.",
        },
    },
    "required": ["title", "status"],
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, and every policy that has to let the caller pass.

    Without a policy it is refused to everybody; `(PUBLIC,)` asks for nothing.
    """

    method: str
    path: str
    policies: tuple[Policy, ...]

    @property
    def is_public(self) -> bool:
        return self.policies == (PUBLIC,)

    @property
    def is_contradiction(self) -> bool:
        """Where no token is looked at, no policy finds a caller: everybody is refused, at once."""
        return PUBLIC in self.policies and not self.is_public

    @property
    def policy(self) -> Policy:
        """All of them as one; what has none wants a token, and then refuses it."""
        judging = [one for one in self.policies if one is not PUBLIC]
        return all_of(*judging) if judging else AUTHENTICATED


def described(
    document: Mapping[str, Any], gate: "Gate", operations: Iterable[Operation]
) -> dict[str, Any]:
    """A copy of an OpenAPI document, with what the gate asks for and answers in it.

    What the application says itself of an operation stays, beside what the gate says.
    """
    made: dict[str, Any] = deepcopy(dict(document))
    schemes = _Schemes(gate, document.get("openapi", "3.1.0"))
    wanted = _described_operations(made, gate, schemes, operations)
    components = made.setdefault("components", {})
    everything = schemes.components(sorted(wanted))
    components["securitySchemes"] = components.get("securitySchemes", {}) | everything
    components.setdefault("schemas", {})[PROBLEM] = deepcopy(dict(_PROBLEM_SCHEMA))
    return made


def _described_operations(
    made: dict[str, Any], gate: "Gate", schemes: "_Schemes", operations: Iterable[Operation]
) -> set[str]:
    """Says it in place; gives every scope value that came up."""
    wanted: set[str] = set()
    # Of two routes with one path the first is asked.
    first = {(one.path, one.method): one for one in reversed(list(operations))}
    for one in reversed(first.values()):
        operation = made.get("paths", {}).get(one.path, {}).get(one.method)
        if operation is None:
            continue  # left out of the document, and guarded all the same
        own = operation.get("security") or [{}]
        if PUBLIC in one.policies:
            operation["security"] = [way for way in own if way]
            if one.is_contradiction:
                operation["responses"] = {"403": _response("Nobody may do this.", [])}
            continue
        wanted |= scopes_of(one.policy)
        ways = schemes.ways(needs_of(one.policy))
        operation["security"] = [a | b for a in own for b in ways or schemes.ways((_ANY_TOKEN,))]
        answers = operation.setdefault("responses", {})
        # Nobody gets as far as what the handler answers.
        if not one.policies or not ways:
            answers.clear()
        for status, response in _responses(gate, one):
            _add(answers.setdefault(status, {}), response)
    return wanted


_ANY_TOKEN: Final = Need(frozenset())


class _Schemes:
    """The ways in which this gate takes tokens, by the names of their components."""

    def __init__(self, gate: "Gate", version: str) -> None:
        self._gate = gate
        # Only from OpenAPI 3.1 on may schemes that are not OAuth's name what they want.
        self._named = not version.startswith("3.0")
        entries = gate.admission.validator.issuers.entries()
        self._known = {one.trusted.issuer: one.keys.metadata for one in entries}
        self._issuers = dict(zip(gate.issuers, _numbers(len(gate.issuers)), strict=True))

    def components(self, scopes: list[str]) -> dict[str, Any]:
        """Every scheme that is offered."""
        gate, made = self._gate, {}
        if gate.challenges.bearer:
            made[BEARER] = {"type": "http", "scheme": "bearer"}
            if self._known or not gate.issuers:
                made[BEARER]["bearerFormat"] = "JWT"
        if gate.challenges.dpop:
            said = f"A token that is bound to a key, and a proof in DPoP. {_algs(gate)}"
            made[DPOP] = {"type": "http", "scheme": "dpop", "description": said}
        if gate.client_certificate is not None:
            said = "The certificate that the token is bound to (RFC 8705)."
            made[MUTUAL_TLS] = {"type": "mutualTLS", "description": said}
        if gate.challenges.bearer:
            made |= self._of_issuers(scopes)
        return made

    def _of_issuers(self, scopes: list[str]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for issuer, number in self._issuers.items():
            url = openid_configuration_url(issuer)
            said = f"Tokens of {issuer}."
            made[f"openId{number}"] = {
                "type": "openIdConnect", "openIdConnectUrl": url, "description": said,
            }  # fmt: skip
            flow = self._flow(issuer, scopes)
            if flow is not None:
                flows = {"authorizationCode": flow}
                made[f"oauth2{number}"] = {"type": "oauth2", "flows": flows, "description": said}
        return made

    def _flow(self, issuer: str, scopes: list[str]) -> dict[str, Any] | None:
        known = self._known.get(issuer)
        authorize = known.authorization_endpoint if known is not None else None
        token = known.token_endpoint if known is not None else None
        # They become links in a browser, so nothing but an address will do.
        if not all(url and url.startswith(("https://", "http://")) for url in (authorize, token)):
            return None
        return {
            "authorizationUrl": authorize,
            "tokenUrl": token,
            "scopes": dict.fromkeys(scopes, ""),
        }

    def ways(self, needs: Iterable[Need]) -> list[dict[str, list[str]]]:
        """Each is enough; none, and nobody can come in."""
        return [way for need in needs for way in self._ways(need)]

    def _ways(self, need: Need) -> Iterator[dict[str, list[str]]]:
        gate, scopes = self._gate, sorted(need.scopes)
        certificate: dict[str, list[str]] = {}
        if Bound.CERTIFICATE in need.bound:
            if gate.client_certificate is None:
                return
            certificate = {MUTUAL_TLS: []}
        for carrier in self._bearers(need):
            yield {carrier: scopes if self._may_name(carrier) else []} | certificate
        if need.bound is Bound.ANYTHING and gate.client_certificate is not None:
            for carrier in self._bearers(_ANY_TOKEN):
                yield {carrier: scopes if self._may_name(carrier) else [], MUTUAL_TLS: []}
        if gate.challenges.dpop:
            yield {DPOP: scopes if self._named else []} | certificate

    def _bearers(self, need: Need) -> list[str]:
        # As a bearer token nothing is bound to a key, and what is bound to nothing is not bound.
        if not self._gate.challenges.bearer or need.bound not in {Bound.NOTHING, Bound.CERTIFICATE}:
            return []
        return [BEARER, *self._of_issuers([])]

    def _may_name(self, scheme: str) -> bool:
        return self._named or scheme != BEARER


def _numbers(count: int) -> list[str]:
    return [str(number) if number > 1 else "" for number in range(1, count + 1)]


def _algs(gate: "Gate") -> str:
    return f"Algorithms: {', '.join(gate.challenges.dpop)}."


def _responses(gate: "Gate", operation: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    offered, policy = gate.challenges, operation.policy
    said = refusals_of(policy)
    yield "400", _response("The credentials cannot be read.", [invalid_request(offered, "")])
    yield "401", _unauthorized(gate, policy)
    if not operation.policies:
        yield "403", _response("Nobody may do this.", [])
    elif said & {Forbidden, MissingScopes, MissingDetails}:
        scopes = scopes_of(policy)
        lacking = [insufficient_scope(offered, scopes)] if MissingScopes in said else []
        yield "403", _response("The token is good, and not for this.", lacking, always=False)
    if Hidden in said:
        yield "404", _response("There is nothing here for this caller.", [])
    unavailable = _response("Nothing can be said about the token now.", [])
    unavailable["headers"] = {"Retry-After": _header("In seconds.", kind="integer")}
    yield "503", unavailable


def _unauthorized(gate: "Gate", policy: Policy) -> dict[str, Any]:
    offered = gate.challenges
    refused = [no_credentials(offered, "", scopes_of(policy)), invalid_token(offered, "")]
    if StepUp in refusals_of(policy):
        again = StepUp(acr_of(policy), scopes=scopes_of(policy))
        refused.append(insufficient_user_authentication(offered, again))
    response = _response("No token, or none that is good here.", refused)
    if offered.dpop:
        nonce = _header("For the next proof (RFC 9449 §8).", required=False)
        response["headers"]["DPoP-Nonce"] = nonce
    return response


def _response(what: str, answers: list[Answer], *, always: bool = True) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{PROBLEM}"}
    response: dict[str, Any] = {
        "description": what,
        "content": {"application/problem+json": {"schema": schema}},
    }
    if answers:
        header = _header("What to come with (RFC 9110 §11.6.1).", required=always)
        header["examples"] = {
            one.error or "no_credentials": {"value": ", ".join(one.challenges)} for one in answers
        }
        response["headers"] = {CHALLENGE: header}
    return response


def _header(what: str, *, required: bool = True, kind: str = "string") -> dict[str, Any]:
    return {"description": what, "required": required, "schema": {"type": kind}}


def _add(own: dict[str, Any], ours: Mapping[str, Any]) -> None:
    """Ours, wherever the application has said nothing."""
    for name, value in ours.items():
        if isinstance(value, dict) and isinstance(own.get(name), dict) and "$ref" not in own[name]:
            _add(own[name], value)
        else:
            own.setdefault(name, value)
