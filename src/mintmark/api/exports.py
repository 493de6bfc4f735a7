"""Requests to try by hand, made from an OpenAPI document that a gate described.

There is no secret in them: whoever opens them signs in, with code and PKCE.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import msgspec

from mintmark.api.openapi import BEARER, DPOP, MUTUAL_TLS

__all__ = ["http_environment", "http_file", "postman_collection"]

POSTMAN_SCHEMA: Final = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
REDIRECT: Final = "https://oauth.pstmn.io/v1/callback"
"""Where Postman itself takes the code; register it with the public client."""

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_PARAMETER: Final = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class _Operation:
    """One request, as much of it as the document says."""

    method: str
    path: str
    title: str
    scopes: tuple[str, ...] | None  # None: no token
    proof: bool  # a bearer token will not do
    certificate: bool
    parameters: tuple[Mapping[str, Any], ...]
    body: str | None

    def placed(self, place: str) -> list[Mapping[str, Any]]:
        return [one for one in self.parameters if one.get("in") == place]

    @property
    def note(self) -> str:
        said = []
        if self.proof:
            said.append("Needs a DPoP proof for every request, which is not made here.")
        if self.certificate:
            said.append("Needs the client certificate that the token is bound to.")
        return " ".join(said)


def postman_collection(
    document: Mapping[str, Any], *, base_url: str, client_id: str = "", redirect_uri: str = REDIRECT
) -> dict[str, Any]:
    """A Postman collection, v2.1: one request an operation, each with the OAuth settings it needs.

    Args:
        document: from `app.openapi()`. Where it knows the issuer's endpoints they are filled in;
            otherwise there are variables for them.
        client_id: of a public client.
    """
    authorize, token = _endpoints(document)
    variables = {
        "base_url": base_url.rstrip("/"),
        "client_id": client_id,
        "authorization_endpoint": authorize,
        "token_endpoint": token,
        "redirect_uri": redirect_uri,
    }
    return {
        "info": {"name": _title(document), "schema": POSTMAN_SCHEMA},
        "item": [_postman_item(one) for one in _operations(document)],
        "variable": [{"key": name, "value": value} for name, value in variables.items()],
    }


def _postman_item(operation: _Operation) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": operation.method,
        "url": _postman_url(operation),
        "header": [],
        "auth": _postman_auth(operation),
    }
    if operation.note:
        request["description"] = operation.note
    if operation.body is not None:
        request["header"].append({"key": "Content-Type", "value": "application/json"})
        request["body"] = {"mode": "raw", "raw": operation.body}
    return {"name": operation.title, "request": request}


def _postman_url(operation: _Operation) -> dict[str, Any]:
    path = [_PARAMETER.sub(r":\1", part) for part in operation.path.strip("/").split("/")]
    names = _PARAMETER.findall(operation.path)
    queries = [
        {"key": one["name"], "value": "", "disabled": not one.get("required", False)}
        for one in operation.placed("query")
    ]
    url: dict[str, Any] = {
        "raw": f"{{{{base_url}}}}/{'/'.join(path)}",
        "host": ["{{base_url}}"],
        "path": path,
    }
    if names:
        url["variable"] = [{"key": name, "value": ""} for name in names]
    return url | ({"query": queries} if queries else {})


def _postman_auth(operation: _Operation) -> dict[str, Any]:
    # A proof is made for one request and one key; a bearer token in its place would be refused.
    if operation.scopes is None or operation.proof:
        return {"type": "noauth"}
    settings = {
        "grant_type": "authorization_code_with_pkce",
        "challengeAlgorithm": "S256",
        "authUrl": "{{authorization_endpoint}}",
        "accessTokenUrl": "{{token_endpoint}}",
        "redirect_uri": "{{redirect_uri}}",
        "clientId": "{{client_id}}",
        "client_authentication": "body",
        "scope": " ".join(operation.scopes),
        "addTokenTo": "header",
        "headerPrefix": "Bearer",
    }
    listed = [{"key": key, "value": value, "type": "string"} for key, value in settings.items()]
    return {"type": "oauth2", "oauth2": listed}


def http_file(document: Mapping[str, Any], *, base_url: str) -> str:
    """A `.http` file: one request an operation, with the token of `http_environment`'s settings."""
    lines = [f"@base_url = {_line(base_url).rstrip('/')}", ""]
    auths = _auths(document)
    for one in _operations(document):
        lines.append(f"### {_line(one.title)}")
        if one.note:
            lines.append(f"# {one.note}")
        path = _PARAMETER.sub(r"{{\1}}", one.path)
        queries = [query["name"] for query in one.placed("query") if query.get("required", False)]
        asked = "&".join(f"{quote(name)}={{{{{name}}}}}" for name in queries)
        lines.append(f"{one.method} {{{{base_url}}}}{_line(path)}{'?' + asked if asked else ''}")
        if one.scopes is not None and not one.proof:
            lines.append(f'Authorization: Bearer {{{{$auth.token("{auths[one.scopes]}")}}}}')
        if one.body is not None:
            lines += ["Content-Type: application/json", "", one.body]
        lines.append("")
    return "\n".join(lines)


def http_environment(
    document: Mapping[str, Any], *, client_id: str, redirect_uri: str, name: str = "dev"
) -> dict[str, Any]:
    """The `http-client.env.json` beside it: how to get each token, with code and PKCE."""
    authorize, token = _endpoints(document)
    auths = {
        auth: {
            "Type": "OAuth2",
            "Grant Type": "Authorization Code",
            "Auth URL": authorize,
            "Token URL": token,
            "Redirect URL": redirect_uri,
            "Client ID": client_id,
            "Client Credentials": "none",
            "PKCE": True,
            "Scope": " ".join(scopes),
        }
        for scopes, auth in _auths(document).items()
    }
    return {name: {"Security": {"Auth": auths}}}


def _auths(document: Mapping[str, Any]) -> dict[tuple[str, ...], str]:
    """A name for each set of scope values: no request gets a token that can do more than it needs."""
    sets = [one.scopes for one in _operations(document) if one.scopes is not None and not one.proof]
    return {scopes: f"token-{number}" for number, scopes in enumerate(dict.fromkeys(sets), 1)}


def _operations(document: Mapping[str, Any]) -> Iterator[_Operation]:
    for path, item in document.get("paths", {}).items():
        for method in _METHODS:
            if method in item:
                yield _operation(path, method, item, item[method])


def _operation(
    path: str, method: str, item: Mapping[str, Any], said: Mapping[str, Any]
) -> _Operation:
    ways = [way for way in said.get("security", []) if BEARER in way or DPOP in way]
    plain = [way for way in ways if BEARER in way]
    # The first is the smallest, and one without a certificate is easier to try.
    way = min(plain or ways, key=lambda one: MUTUAL_TLS in one, default=None)
    scopes = way.get(BEARER, way.get(DPOP, [])) if way is not None else None
    parameters = [*item.get("parameters", ()), *said.get("parameters", ())]
    return _Operation(
        method=method.upper(),
        path=path,
        title=said.get("summary") or f"{method.upper()} {path}",
        scopes=tuple(scopes) if scopes is not None else None,
        proof=bool(ways) and not plain,
        certificate=way is not None and MUTUAL_TLS in way,
        parameters=tuple(one for one in parameters if "name" in one),
        body=_body(said),
    )


def _body(said: Mapping[str, Any]) -> str | None:
    media = said.get("requestBody", {}).get("content", {}).get("application/json")
    if media is None:
        return None
    return msgspec.json.encode(media.get("example", {})).decode()


def _endpoints(document: Mapping[str, Any]) -> tuple[str, str]:
    """Of the first issuer whose endpoints were known when the document was made."""
    schemes = document.get("components", {}).get("securitySchemes", {})
    for scheme in schemes.values():
        flow = scheme.get("flows", {}).get("authorizationCode")
        if flow is not None:
            return flow["authorizationUrl"], flow["tokenUrl"]
    return "", ""


def _title(document: Mapping[str, Any]) -> str:
    title: str = document.get("info", {}).get("title", "API")
    return title


def _line(text: str) -> str:
    # A line break in a summary would begin a request of its own.
    return " ".join(text.split())
