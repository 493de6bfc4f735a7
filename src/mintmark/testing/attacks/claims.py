"""F: claims, their JSON and their types (RFC 7519 §4.1, RFC 9068 §2.2)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from mintmark.testing.attacks.forging import raw_json
from mintmark.testing.attacks.model import ACCEPTED, R1, Group, Variant
from mintmark.testing.attacks.trying import each, forged, with_token

if TYPE_CHECKING:
    from mintmark.testing.mint import Mint

__all__ = ["CLAIMS"]

CLAIMS = Group("F")
_NO_TEXT: Final[tuple[Any, ...]] = (5, True, None, ["a"], {"a": 1})


def _with_members(mint: "Mint", members: str) -> str:
    """The honest payload with these members, as text, behind its own."""
    return forged(mint, payload=raw_json(mint.delegated().payload)[:-1] + f",{members}}}".encode())


def _with_exp(mint: "Mint", exp: str) -> str:
    payload = raw_json(mint.delegated().without("exp").payload)
    return forged(mint, payload=payload[:-1] + f',"exp":{exp}}}'.encode())


@CLAIMS.attack("F1", "a claim twice", R1)
def twice(mint: "Mint") -> Iterator[Variant]:
    payload = mint.delegated().payload
    others = {"aud": '"https://other.example"', "sub": '"root"', "exp": "9999999999",
              "scope": '"admin"', "iss": '"https://other.example"', "jti": '"x"'}  # fmt: skip
    for name, other in others.items():
        yield with_token(mint, f"{name}, ours first", _with_members(mint, f'"{name}":{other}'))
        first = f'{{"{name}":{other},'.encode() + raw_json(payload)[1:]
        yield with_token(mint, f"{name}, ours last", forged(mint, payload=first))
    yield with_token(mint, "sub, escaped", _with_members(mint, '"\\u0073ub":"root"'))
    yield with_token(mint, "deep inside", _with_members(mint, '"a":{"b":1,"b":2}'))
    spaced = raw_json(payload).replace(b":", b" : ")[:-1] + b', "sub" : "root" }'
    yield with_token(mint, "among blanks", forged(mint, payload=spaced))


@CLAIMS.attack("F2", "no exp", R1)
def no_exp(mint: "Mint") -> Iterator[Variant]:
    yield with_token(mint, "missing", mint.delegated().without("exp"))


@CLAIMS.attack("F3", "exp as digits in a text", R1)
def exp_as_text(mint: "Mint") -> Iterator[Variant]:
    later = mint.now + 600
    for exp in (str(later), f"{later}.0", f" {later}", "2099-01-01T00:00:00Z", ""):
        yield with_token(mint, f"{exp!r}", mint.delegated().claims(exp=exp))


@CLAIMS.attack("F4", "exp that is no number", R1)
def exp_no_number(mint: "Mint") -> Iterator[Variant]:
    for exp in (True, False, None, [mint.now + 600], {"a": 1}):
        yield with_token(mint, f"{exp!r}"[:5], mint.delegated().claims(exp=exp))


@CLAIMS.attack("F5", "exp infinite or no number at all", R1)
def exp_infinite(mint: "Mint") -> Iterator[Variant]:
    for exp in ("1e400", "-1e400", "Infinity", "-Infinity", "NaN", "1e308", "1E+300"):
        yield with_token(mint, exp, _with_exp(mint, exp))


@CLAIMS.attack("F6", "exp of very many digits", R1, within=2)
def exp_of_many_digits(mint: "Mint") -> Iterator[Variant]:
    for digits in (13, 19, 20, 21, 400, 4_299, 4_301, 5_000):
        yield with_token(mint, f"{digits} digits", _with_exp(mint, "9" * digits))
    yield with_token(mint, "the year 10000", _with_exp(mint, "253402300800"))


@CLAIMS.attack("F7", "exp with a fraction", ACCEPTED)
def exp_with_fraction(mint: "Mint") -> Iterator[Variant]:
    later = mint.now + 600
    for exp in (f"{later}.5", f"{later}.0", f"{later // 10}e1", f"{later}.000001"):
        yield with_token(mint, exp, _with_exp(mint, exp))


@CLAIMS.attack("F8", "aud missing or of a wrong kind", R1)
def aud_of_wrong_kind(mint: "Mint") -> Iterator[Variant]:
    own = mint.audience
    yield with_token(mint, "missing", mint.delegated().without("aud"))
    for aud in (
        "",
        [],
        {},
        {own: own},
        5,
        None,
        True,
        [own, 5],
        [own, None],
        [own, [own]],
        [own, ""],
    ):
        name = f"{aud!r}".replace(own, "ours")
        yield with_token(mint, name, mint.delegated().claims(aud=aud))


@CLAIMS.attack("F9", "aud with ours among others", ACCEPTED)
def aud_among_others(mint: "Mint") -> Iterator[Variant]:
    own, other = mint.audience, "https://other.example"
    for aud in ([own], [own, other], [other, own], [own, own]):
        name = f"{aud!r}".replace(own, "ours")
        yield with_token(mint, name, mint.delegated().claims(aud=aud))


@CLAIMS.attack("F10", "aud that is nearly ours", R1)
def aud_nearly_ours(mint: "Mint") -> Iterator[Variant]:
    own = mint.audience
    near = (own[:-1], own + "/", own + ".evil.example", own.upper(), own + " ", " " + own,
            own.replace("https", "http"), own + "/x", own.removeprefix("https://"), own + "\u0000",
            [own[:-1], own + "/"], own.replace("a", "\u0430"), f"{own} https://other.example",
            "*", "https://*")  # fmt: skip
    for number, aud in enumerate(near):
        yield with_token(mint, f"{number}", mint.delegated().claims(aud=aud))


@CLAIMS.attack("F11", "iss of a wrong kind, or nearly right", R1)
def iss_nearly_right(mint: "Mint") -> Iterator[Variant]:
    own = mint.issuer.issuer
    yield with_token(mint, "missing", mint.delegated().without("iss"))
    for name, iss in {"a list": [own], "a number": 5, "null": None, "an object": {"iss": own},
                      "a slash more": own + "/", "another case": own.upper(), "empty": "",
                      "a blank more": own + " ", "a NUL": own + "\u0000", "true": True}.items():  # fmt: skip
        yield with_token(mint, name, mint.delegated().claims(iss=iss))


@CLAIMS.attack("F12", "sub that is no name", R1)
def sub_no_name(mint: "Mint") -> Iterator[Variant]:
    yield with_token(mint, "missing", mint.delegated().without("sub"))
    for sub in (*_NO_TEXT, ""):
        yield with_token(mint, f"{sub!r}", mint.delegated().claims(sub=sub))
    for length in (256, 8_000, 1_000_000):
        yield with_token(mint, f"{length} letters", mint.delegated().claims(sub="s" * length))


@CLAIMS.attack("F13", "scope that is no scope", R1)
def scope_no_scope(mint: "Mint") -> Iterator[Variant]:
    for scope in (5, True, None, ["orders.read"], {"orders.read": True}, "a  b", " a", "a ", "a\tb",
                  "a\nb", 'a"b', "a\\b", "caf\u00e9", "a\u0000"):  # fmt: skip
        yield with_token(mint, f"{scope!r}", mint.delegated().claims(scope=scope))


@CLAIMS.attack("F14", "half a million scope values", R1, within=2)
def very_many_scopes(mint: "Mint") -> Iterator[Variant]:
    many = " ".join(f"s{number}" for number in range(500_000))
    yield with_token(mint, "half a million", mint.delegated().claims(scope=many))
    some = " ".join(f"s{number}" for number in range(2_000))
    yield with_token(
        mint, "two thousand, which fit into a header", mint.delegated().claims(scope=some)
    )


@CLAIMS.attack("F15", "NaN or Infinity in any claim", R1)
def nan_anywhere(mint: "Mint") -> Iterator[Variant]:
    for value in ("NaN", "Infinity", "-Infinity", "[NaN]", '{"a":Infinity}'):
        yield with_token(mint, value, _with_members(mint, f'"limit":{value}'))


@CLAIMS.attack("F16", "half a character", R1)
def lone_surrogate(mint: "Mint") -> Iterator[Variant]:
    for name, text in {"high": "\\ud800", "low": "\\udc00", "reversed": "\\udc00\\ud800",
                       "before a letter": "\\ud800a"}.items():  # fmt: skip
        yield with_token(mint, name, _with_members(mint, f'"name":"{text}"'))
        yield with_token(mint, f"{name}, as a name", _with_members(mint, f'"{text}":1'))
    raw = raw_json(mint.delegated().payload)[:-1] + b',"name":"\xed\xa0\x80"}'
    yield with_token(mint, "raw", forged(mint, payload=raw))


@CLAIMS.attack("F17", "cnf of a wrong kind", R1)
def cnf_of_wrong_kind(mint: "Mint") -> Iterator[Variant]:
    for cnf in ("text", ["jkt"], {}, None, 5, False, {"jkt": 5}, {"jkt": None}, {"jkt": ""},
                {"jkt": ["x" * 43]}):  # fmt: skip
        yield with_token(mint, f"{cnf!r}", mint.delegated().claims(cnf=cnf))


@CLAIMS.attack("F18", "cnf with a member that nobody here knows", R1)
def cnf_unknown(mint: "Mint") -> Iterator[Variant]:
    # Read as no binding, a bound token would be good in a thief's hands.
    for cnf in ({"x": "y"}, {"jwk": mint.issuer.key.public.to_jwk()}, {"kid": "k"}, {"jwe": "x"},
                {"jku": "https://evil.example", "kid": "k"}, {"JKT": "x" * 43}):  # fmt: skip
        yield with_token(mint, f"{sorted(cnf)}", mint.delegated().claims(cnf=cnf))


@CLAIMS.attack("F19", "client_id and azp disagree", R1)
def azp_disagrees(mint: "Mint") -> Iterator[Variant]:
    for azp in ("other", "", 5, None, ["shop"]):
        yield with_token(mint, f"{azp!r}", mint.delegated().claims(azp=azp))
    yield with_token(mint, "they agree", mint.delegated().claims(azp="shop"), ACCEPTED)


@CLAIMS.attack("F20", "claims named like attributes", ACCEPTED)
def named_like_attributes(mint: "Mint") -> Iterator[Variant]:
    names = ("__class__", "__dict__", "__init__", "__proto__", "constructor", "items", "get", "keys",
             "scopes", "kind", "is_admin", "claims")  # fmt: skip
    tokens = {name: mint.delegated().claims(**{name: {"x": 1}}) for name in names}
    yield from each(mint, tokens)
    everything = dict.fromkeys(names, "x")
    yield with_token(mint, "all of them", mint.delegated().claims(**everything))


@CLAIMS.attack("F21", "characters meant for the challenge or the log", R1)
def characters_for_others(mint: "Mint") -> Iterator[Variant]:
    evil = ('x", error_uri="https://evil.example', "a\r\nset-cookie: b=c", "a\nINFO root: all is well",
            "\x1b[2J", "a\u2028b", "\u202egnp", "a\x00b")  # fmt: skip
    for number, text in enumerate(evil):
        for name in ("iss", "aud", "sub", "client_id", "jti"):
            if number or name in {"iss", "aud"}:  # a quote in a name is a letter like others
                token = mint.delegated().claims(**{name: text})
                yield with_token(mint, f"{name} {number}", token)
        kid = mint.delegated().headed(kid=text)
        yield with_token(mint, f"kid {number}", kid)
