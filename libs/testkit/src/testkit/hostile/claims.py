"""Tokens that the right key has signed and that say something wrong (RFC 7519, RFC 9068, RFC 8725)."""

import gzip
import json
import zlib
from typing import Any

from testkit.hostile.forger import MISSING, SESSION, SUBJECT, TOKEN, Forger, Make, using

ARABIC, FULLWIDTH = "\u0661" * 32, "\uff11" * 32
NO_INSTANT: dict[str, Any] = {
    "missing": MISSING,
    "null": None,
    "true": True,
    "false": False,
    "empty text": "",
    "text NaN": "NaN",
    "a date in words": "2026-11-25T21:00:00Z",
    "NaN": float("nan"),
    "infinite": float("inf"),
    "infinite, negative": float("-inf"),
    "negative": -1,
    "negative fraction": -0.5,
    "huge": 10**30,
    "huge float": 1e308,
    "beyond 64 bits": 2**64,
    "list": [1],
    "object": {"seconds": 1},
}
NO_ID: dict[str, Any] = {
    "missing": MISSING,
    "null": None,
    "empty": "",
    "number": 1,
    "fraction": 1.5,
    "true": True,
    "list": [SUBJECT],
    "object": {"id": SUBJECT},
    "operator": {"$ne": None},
    "name": "alice",
    "without hyphens": SUBJECT.replace("-", ""),
    "braces": f"{{{SUBJECT}}}",
    "URN": f"urn:uuid:{SUBJECT}",
    "upper case": SUBJECT.upper(),
    "Arabic digits": ARABIC,
    "full-width digits": FULLWIDTH,
    "underscores": "1_" * 15 + "11",
    "space before": f" {SUBJECT}",
    "space after": f"{SUBJECT} ",
    "line end": f"{SUBJECT}\n",
    "NUL": f"{SUBJECT}\0",
    "too short": SUBJECT[:-1],
    "too long": f"{SUBJECT}0",
    "two": f"{SUBJECT},{SUBJECT}",
    "path": "../../etc/passwd",
    "SQL": "' OR '1'='1",
    "long": "a" * 1000,
    "lone surrogate": "\ud800",
}
NO_VERSION: dict[str, Any] = {
    "missing": MISSING,
    "null": None,
    "true": True,
    "false": False,
    "0": 0,
    "2": 2,
    "negative": -1,
    "a float": 1.0,
    "a fraction": 1.5,
    "huge": 10**30,
    "a text": "1",
    "empty text": "",
    "list": [1],
    "object": {"1": 1},
}
DUPLICATED = {
    "sub": "01990000-0000-7000-8000-000000000009",
    "sid": "01990000-0000-7000-8000-000000000009",
    "jti": "01990000-0000-7000-8000-000000000009",
    "exp": 1,
    "iat": 1,
    "nbf": 4_000_000_000,
    "iss": "evil",
    "aud": "evil",
    "roles": ["admin"],
    "ver": 2,
}


def texts_like(right: str, other: str) -> dict[str, Any]:
    """Return what is not quite a text that has to be exact."""
    return {
        "missing": MISSING,
        "null": None,
        "empty": "",
        "number": 1,
        "true": True,
        "list": [right],
        "list with another": [right, other],
        "empty list": [],
        "list in a list": [[right]],
        "object": {right: 1},
        "of another place": other,
        "upper case": right.upper(),
        "capitalised": right.capitalize(),
        "slash": f"{right}/",
        "URL": f"https://{right}",
        "space before": f" {right}",
        "space after": f"{right} ",
        "NUL": f"{right}\0",
        "cut": right[:-1],
        "longer": f"{right}x",
        "Cyrillic letter": right.replace("a", "\u0430"),
        "zero-width space": f"{right}\u200b",
        "wildcard": "*",
    }


def make(**claims: Any) -> Make:
    """Return the maker of a token with these claims."""
    return lambda f: f.token(**claims)


def _instants() -> dict[str, Make]:
    vectors: dict[str, Make] = {}
    for number, name in (("4.1.4", "exp"), ("4.1.5", "nbf"), ("4.1.6", "iat")):
        for what, value in NO_INSTANT.items():
            vectors[f"RFC 7519 {number} {name}: {what}"] = make(**{name: value})
        for what, change in {"a text": str, "a float": float, "milliseconds": lambda n: n * 1000}.items():
            # Of each claim the value that it would rightly have, in another form.
            vectors[f"RFC 7519 {number} {name}: {what}"] = using(
                lambda f, n, c: f.token(**{n: c(f.claims()[n])}), name, change
            )
        vectors[f"RFC 7519 {number} {name}: a fraction"] = using(lambda f, n: f.token(**{n: f.claims()[n] + 0.5}), name)
    return vectors


def _times() -> dict[str, Make]:
    past = {"iat": -200, "nbf": -200}
    offsets: dict[str, dict[str, int]] = {
        "RFC 7519 4.1.4 expired a second ago": {**past, "exp": -1},
        "RFC 7519 4.1.4 expired beyond the leeway": {**past, "exp": -31},
        "RFC 7519 4.1.4 expired a day ago": {"iat": -86_500, "nbf": -86_500, "exp": -86_400},
        "RFC 7519 4.1.4 ends as it begins": {"exp": 20, "iat": 20},
        "RFC 7519 4.1.4 ends before it begins": {"exp": 10, "iat": 20},
        "RFC 7519 4.1.5 begins after its end": {"exp": 10, "nbf": 20},
        "RFC 7519 4.1.5 not before a time beyond the leeway": {"nbf": 45},
        "RFC 7519 4.1.5 not before an hour from now": {"nbf": 3600},
        "RFC 7519 4.1.6 issued beyond the leeway": {"iat": 45},
        "RFC 7519 4.1.6 issued an hour from now": {"iat": 3600, "exp": 3650},
    }
    vectors: dict[str, Make] = {
        name: using(lambda f, o: f.token(**{claim: f.now + offset for claim, offset in o.items()}), given)
        for name, given in offsets.items()
    }
    vectors["RFC 7519 4.1.4 exp: 0"] = make(exp=0)
    vectors["RFC 7519 4.1.6 iat: 0"] = make(iat=0)
    for longer in (1, 60, 86_400, 10 * 365 * 86_400):
        vectors[f"R2 lives {longer} s longer than allowed"] = using(
            lambda f, more: f.token(iat=f.now, exp=f.now + f.lifetime + more), longer
        )
    return vectors


def _names() -> dict[str, Make]:
    vectors: dict[str, Make] = {}
    for what in texts_like("a", "b"):
        vectors[f"RFC 7519 4.1.3 aud: {what}"] = using(
            lambda f, w: f.token(aud=texts_like(f.audience, f.other_audience)[w]), what
        )
        vectors[f"RFC 7519 4.1.1 iss: {what}"] = using(
            lambda f, w: f.token(iss=texts_like(f.issuer, f.other_issuer)[w]), what
        )
    for number, name in (("4.1.2", "sub"), ("4.3", "sid"), ("4.1.7", "jti")):
        for what, value in NO_ID.items():
            vectors[f"RFC 7519 {number} {name}: {what}"] = make(**{name: value})
    for name in ("iss", "aud", "sub", "sid", "jti", "iat", "exp"):
        vectors[f"RFC 7519 4 {name} in upper case"] = using(
            lambda f, n: f.token(**{n: MISSING, n.upper(): f.claims()[n]}), name
        )
    return vectors


def _rights() -> dict[str, Make]:
    roles = ("admin", {"admin": True}, 7, 1.5, True, None, [1], [None], [["admin"]], [{"role": "admin"}], ["\ud800"])
    scopes = (["tasks:read"], {"tasks:read": 1}, 7, 1.5, True, None, "\ud800", "tasks:\u0430dmin")
    return {
        **{f"RFC 9068 2.2.3.1 roles: {value!a}": make(roles=value) for value in roles},
        **{f"RFC 9068 2.2.3 scope: {value!a}": make(scope=value) for value in scopes},
        "RFC 9068 4 an OpenID ID token": lambda f: f.token({"typ": "JWT"}, nonce="n-0S6_WzA2Mj", at_hash="MTIzNDU2"),
        "RFC 9068 4 an ID token, typ missing": lambda f: f.token({"typ": MISSING}, nonce="n-0S6_WzA2Mj"),
        "RFC 9068 2.1 a refresh token in the form of a JWT": lambda f: f.token({"typ": "rt+jwt"}, purpose="refresh"),
    }


def _duplicates() -> dict[str, Make]:
    def twice(f: Forger, name: str, other: Any, *, first: bool) -> str:
        good, added = json.dumps(f.claims()), f"{json.dumps(name)}:{json.dumps(other)}"
        text = f"{{{added},{good[1:]}" if first else f"{good[:-1]},{added}}}"
        return f.signed(f.header(), text.encode())

    vectors: dict[str, Make] = {}
    for name, other in DUPLICATED.items():
        vectors[f"RFC 7519 4 {name} twice, a wrong one first"] = using(
            lambda f, n, o: twice(f, n, o, first=True), name, other
        )
        vectors[f"RFC 7519 4 {name} twice, a wrong one last"] = using(
            lambda f, n, o: twice(f, n, o, first=False), name, other
        )
    vectors["RFC 7519 4 sub twice, the same"] = lambda f: twice(f, "sub", SUBJECT, first=True)
    vectors["RFC 7519 4 a claim of others twice"] = lambda f: f.signed(
        f.header(), json.dumps(f.claims())[:-1].encode() + b',"x":1,"x":1}'
    )
    vectors["RFC 7519 4 sub twice, one name escaped"] = lambda f: f.signed(
        f.header(), f'{{"s\\u0075b":"{SESSION}",{json.dumps(f.claims())[1:]}'.encode()
    )
    vectors["RFC 7519 4 an object within that has a name twice"] = lambda f: f.signed(
        f.header(), json.dumps(f.claims())[:-1].encode() + b',"act":{"sub":1,"sub":2}}'
    )
    return vectors


SHAPES: dict[str, bytes] = {
    "empty": b"",
    "null": b"null",
    "true": b"true",
    "a number": b"7",
    "a text": b'"claims"',
    "an empty list": b"[]",
    "an empty object": b"{}",
    "cut": b'{"sub":',
    "an open brace": b"{",
    "not UTF-8": b"\xff\xfe\xfd",
    "overlong UTF-8": b'{"sub":"\xc0\xaf"}',
    "surrogate in UTF-8": b'{"sub":"\xed\xa0\x80"}',
    "deep lists": b"[" * 1400 + b"]" * 1400,
    "deep objects": b'{"a":' * 400 + b"1" + b"}" * 400,
    "XML": b"<claims><sub>1</sub></claims>",
    "YAML": b"sub: 1\nexp: 4000000000\n",
    "a form": b"sub=1&exp=4000000000",
    "CBOR (RFC 8392)": bytes.fromhex("a70175636f61703a2f2f61732e6578616d706c652e636f6d02656572696b77"),
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x03sub\x94K\x01s.",
    "NUL only": b"\0",
}
REWRITTEN: dict[str, Any] = {
    "in a list": lambda text: b"[" + text + b"]",
    "as a text": lambda text: json.dumps(text.decode()).encode(),
    "with a BOM": lambda text: b"\xef\xbb\xbf" + text,
    "in UTF-16 with a BOM": lambda text: text.decode().encode("utf-16"),
    "in UTF-16LE": lambda text: text.decode().encode("utf-16-le"),
    "in UTF-16BE": lambda text: text.decode().encode("utf-16-be"),
    "in UTF-32": lambda text: text.decode().encode("utf-32"),
    "in UTF-32LE": lambda text: text.decode().encode("utf-32-le"),
    "in EBCDIC": lambda text: text.decode().encode("cp500"),
    "with a second object": lambda text: text + b"{}",
    "with something after": lambda text: text + b"x",
    "with a NUL after": lambda text: text + b"\0",
    "with a NUL before": lambda text: b"\0" + text,
    "with a comma at the end": lambda text: text[:-1] + b",}",
    "with a comment": lambda text: text[:-1] + b"/* */}",
    "with a line comment": lambda text: b"// x\n" + text,
    "with NaN": lambda text: text[:-1] + b',"x":NaN}',
    "with Infinity": lambda text: text[:-1] + b',"x":Infinity}',
    "with -Infinity": lambda text: text[:-1] + b',"x":-Infinity}',
    "with a leading zero": lambda text: text[:-1] + b',"x":01}',
    "with a hexadecimal number": lambda text: text[:-1] + b',"x":0x1}',
    "with a plus sign": lambda text: text[:-1] + b',"x":+1}',
    "with a name without quotes": lambda text: text[:-1] + b",x:1}",
    "with single quotes": lambda text: text.replace(b'"', b"'"),
    "with typographic quotes": lambda text: text.decode().replace('"', "\u201d").encode(),
    "with a raw control character": lambda text: text[:-1] + b',"x":"\x01"}',
    "with a raw line end in a text": lambda text: text[:-1] + b',"x":"\n"}',
    "with bytes that are not UTF-8": lambda text: text[:-1] + b',"x":"\xff"}',
    "with a vertical tab": lambda text: text[:-1] + b"\x0b}",
    "with a no-break space": lambda text: text[:-1] + b"\xc2\xa0}",
    "without its end": lambda text: text[:-1],
    "without its beginning": lambda text: text[1:],
    "gzipped": lambda text: gzip.compress(text, mtime=0),
    "deflated": lambda text: zlib.compress(text)[2:-4],
    "in zlib's form": zlib.compress,
}


def _shapes() -> dict[str, Make]:
    vectors: dict[str, Make] = {
        f"RFC 7519 7.2 claims: {name}": using(lambda f, s: f.signed(f.header(), s), shape)
        for name, shape in SHAPES.items()
    }
    for name, rewrite in REWRITTEN.items():
        vectors[f"RFC 7519 7.2 claims {name}"] = using(
            lambda f, r: f.signed(f.header(), r(json.dumps(f.claims()).encode())), rewrite
        )
        vectors[f"RFC 7515 5.2 header {name}"] = using(
            lambda f, r: f.signed(r(json.dumps(f.header()).encode()), f.claims()), rewrite
        )
    for name in ("null", "true", "a number", "an empty list", "an empty object", "cut", "not UTF-8", "deep lists"):
        vectors[f"RFC 7515 5.2 header: {name}"] = using(lambda f, s: f.signed(s, {"jti": TOKEN}), SHAPES[name])
    return vectors


VERSIONS: dict[str, Make] = {f"R1 ver: {what}": make(ver=value) for what, value in NO_VERSION.items()}
CLAIMS: dict[str, Make] = {
    **VERSIONS,
    **_instants(),
    **_times(),
    **_names(),
    **_rights(),
    **_duplicates(),
    **_shapes(),
    "RFC 7519 5.2 a token in a token": lambda f: f.signed(f.header(), f.token().encode()),
    "RFC 7519 5.2 a token in a token, with cty": lambda f: f.signed(f.header(cty="JWT"), f.token().encode()),
    "RFC 7519 5.2 a token as the only claim": lambda f: f.signed(f.header(), {"jwt": f.token()}),
    "RFC 7519 5.3 claims as header fields": lambda f: f.signed({**f.header(), **f.claims()}, {}),
}
