"""Tokens that are put together wrongly, and the examples of the RFCs (RFC 7515, 7516, 7797, 8037)."""

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

from testkit.hostile.forger import Forger, Make, base64url, part, using
from testkit.hostile.signatures import EC_D, HMAC_KEY, es256_of_the_rfc

JOE = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
A_1 = f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
A_2 = (
    f"eyJhbGciOiJSUzI1NiJ9.{JOE}."
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU"
    "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d"
    "O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
    "cN_IoypGlUPQGe77Rw"
)
A_3 = (
    f"eyJhbGciOiJFUzI1NiJ9.{JOE}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)
A_4 = (
    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA."
    "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2Y"
    "BJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
)
RFC_8037_A_4 = (
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
)
EXAMPLES: dict[str, str] = {
    "RFC 7515 A.1 HS256": A_1,
    "RFC 7515 A.2 RS256": A_2,
    "RFC 7515 A.3 ES256": A_3,
    "RFC 7515 A.4 ES512": A_4,
    "RFC 7515 A.5 unsecured": f"eyJhbGciOiJub25lIn0.{JOE}.",
    "RFC 7515 A.6 general JSON": json.dumps(
        {
            "payload": JOE,
            "signatures": [
                {
                    "protected": "eyJhbGciOiJSUzI1NiJ9",
                    "header": {"kid": "2010-12-29"},
                    "signature": A_2.rpartition(".")[2],
                },
                {
                    "protected": "eyJhbGciOiJFUzI1NiJ9",
                    "header": {"kid": "e9bc097a-ce51-4036-9562-d2ade882db0d"},
                    "signature": A_3.rpartition(".")[2],
                },
            ],
        }
    ),
    "RFC 7515 A.7 flattened JSON": json.dumps(
        {
            "payload": JOE,
            "protected": "eyJhbGciOiJFUzI1NiJ9",
            "header": {"kid": "e9bc097a-ce51-4036-9562-d2ade882db0d"},
            "signature": A_3.rpartition(".")[2],
        }
    ),
    "RFC 7515 E crit that nobody knows": (
        "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9V"
        "TkRFRklORUQiOnRydWUNCn0.RkFJTA."
    ),
    "RFC 7515 F detached": A_1.replace(JOE, ""),
    "RFC 7797 4.1 a payload of $.02": "eyJhbGciOiJIUzI1NiJ9.JC4wMg.5mvfOroL-g7HyqJoozehmsaqmvTYGEq5jTI1gVvoEoQ",
    "RFC 7797 4.2 b64 false, detached": (
        "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19..A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY"
    ),
    "RFC 7797 4.2 b64 false, a dot in the payload": (
        "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19.$.02.A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY"
    ),
    "RFC 8037 A.4 Ed25519": RFC_8037_A_4,
    "RFC 7516 A.1 RSA-OAEP and A256GCM": (
        "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ."
        "OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGeipsEdY3mx_etLbbWSrFr05kLzcSr4qKAq7YN7e9jwQRb"
        "23nfa6c9d-StnImGyFDbSv04uVuxIp5Zms1gNxKKK2Da14B8S4rzVRltdYwam_lDp5XnZAYpQdb76FdIKLaVmqgfwX7XWRxv2322i-vDxRfq"
        "Nzo_tETKzpVLzfiwQyeyPGLBIO56YJ7eObdv0je81860ppamavo35UgoRdbYaBcoh9QcfylQr66oc6vFWXRcZ_ZT2LawVCWTIy3brGPi6Ukl"
        "fCpIMfIjf7iGdXKHzg."
        "48V1_ALb6US04U3b."
        "5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A."
        "XFBoMYUZodetZdvTiFvSkQ"
    ),
    "RFC 7516 A.3 A128KW and A128CBC-HS256": (
        "eyJhbGciOiJBMTI4S1ciLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0."
        "6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ."
        "AxY8DCtDaGlsbGljb3RoZQ."
        "KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY."
        "U0m_YmjN04DJvceFICbCVQ"
    ),
}


def _examples() -> dict[str, Make]:
    secret = base64.urlsafe_b64decode(HMAC_KEY + "==")
    oct_key = {"kty": "oct", "k": HMAC_KEY}
    ec_key = {
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }

    def mac(content: bytes) -> bytes:
        return hmac.new(secret, content, "sha256").digest()

    return {
        **{name: using(lambda _, token: token, example) for name, example in EXAMPLES.items()},
        "RFC 7515 A.1 its key, our claims": lambda f: f.sealed(mac, f.header(alg="HS256")),
        "RFC 7515 A.1 its key in the header, our claims": lambda f: f.sealed(mac, f.header(alg="HS256", jwk=oct_key)),
        "RFC 7515 A.1 its key, our claims, alg EdDSA": lambda f: f.sealed(mac, f.header()),
        "RFC 7515 A.3 its key, our claims": lambda f: f.sealed(es256_of_the_rfc, f.header(alg="ES256")),
        "RFC 7515 A.3 its key in the header, our claims": lambda f: f.sealed(
            es256_of_the_rfc, f.header(alg="ES256", jwk=ec_key)
        ),
        "RFC 7515 A.3 its private key in the header": lambda f: f.sealed(
            es256_of_the_rfc, f.header(alg="ES256", jwk={**ec_key, "d": EC_D})
        ),
        "RFC 8037 A.4 its claims, the right key": lambda f: f.signed(f.header(), b"Example of Ed25519 signing"),
        "RFC 7519 3.1 its claims, the right key": lambda f: f.respelt(part(f.header()), JOE),
        "RFC 7519 6.1 its header, our claims": lambda f: f"eyJhbGciOiJub25lIn0.{part(f.claims())}.",
    }


def _arrangements() -> dict[str, Make]:
    forms = (
        *("{h}", "{h}.", "{h}.{c}", "{h}.{c}.", "{h}..", ".{c}.{s}", ".{c}.", "..{s}", ".{h}.{c}.{s}"),
        *("{h}.{c}.{s}.", "{h}.{c}.{s}..", "{h}..{c}.{s}", "{h}.{c}..{s}", "{h}.{c}.{s}.{s}", "{h}.{c}.{s}.x"),
        *("{h}.{c}.{s}.x.y", "{h}.{c}.{s}.x.y.z", "{h}.{c}.x.{s}", "{h}.{h}.{c}.{s}", "{c}.{h}.{s}", "{h}.{s}.{c}"),
        *("{s}.{c}.{h}", "{h}.{h}.{s}", "{c}.{c}.{s}", "{h}{c}{s}", "{h}:{c}:{s}", "{h},{c},{s}", "{h}-{c}-{s}"),
        *("{h}%2E{c}%2E{s}", "{h} {c} {s}", "{h}. {c}.{s}", "{h}.{c} .{s}", "{h}.{c}.\t{s}", "{h}~{c}~{s}"),
        *("{h}/{c}/{s}", "{h}|{c}|{s}", "{h};{c};{s}", "{h}.{c}.{s}~", "{h}.{c}.{s}~WyJzYWx0Il0~"),
    )
    vectors: dict[str, Make] = {
        f"RFC 7515 7.1 put together as {form!a}": using(
            lambda f, w: w.format(**dict(zip("hcs", f.parts(), strict=True))), form
        )
        for form in forms
    }
    vectors.update(
        {f"RFC 7515 7.1 nothing but {dots}": using(lambda _, d: d, dots) for dots in (".", "..", "...", "....")}
    )
    return vectors


def _spellings() -> dict[str, Make]:
    def of_part(f: Forger, index: int, change: Callable[[str], str]) -> str:
        """Return the token with one part spelt differently, and signed as it is spelt."""
        spelt = [part(f.header()), part(f.claims())]
        if index == 2:
            header, claims, signature = f.parts()
            return f"{header}.{claims}.{change(signature)}"
        spelt[index] = change(spelt[index])
        return f.respelt(*spelt)

    changes: dict[str, Callable[[str], str]] = {
        "padded": lambda text: text + "=" * (-len(text) % 4 or 4),
        "padded by one too many": lambda text: text + "=" * (-len(text) % 4 + 1),
        "with percent-encoded padding": lambda text: text + "%3D" * (-len(text) % 4 or 1),
        "with padding before": lambda text: "==" + text,
        "with padding within": lambda text: text[:8] + "=" + text[8:],
        "with a letter too many": lambda text: text + "A" * (5 - len(text) % 4),
        "in the alphabet with plus": lambda text: text[:4] + "+" + text[5:],
        "in the alphabet with slash": lambda text: text[:4] + "/" + text[5:],
        "with a space": lambda text: text[:9] + " " + text[9:],
        "with a tab": lambda text: text[:9] + "\t" + text[9:],
        "with an encoded line end": lambda text: text[:9] + "%0A" + text[9:],
        "with a written line end": lambda text: text[:9] + "\\n" + text[9:],
        "with an exclamation mark": lambda text: text[:9] + "!" + text[9:],
        "with a letter that is not ASCII": lambda text: text[:9] + "\xe9" + text[9:],
        "in quotes": lambda text: f'"{text}"',
        "in hexadecimal": lambda text: _decoded(text).hex(),
        "in Base32": lambda text: base64.b32encode(_decoded(text)).decode().rstrip("="),
        "in Base85": lambda text: base64.b85encode(_decoded(text)).decode(),
        "encoded twice": lambda text: base64url(text.encode()),
        "backwards": lambda text: text[::-1],
        "in lower case": str.lower,
    }
    names = ("header", "claims", "signature")
    vectors: dict[str, Make] = {
        f"RFC 7515 2 {name} {what}": using(of_part, index, change)
        for index, name in enumerate(names)
        for what, change in changes.items()
    }
    for bits in (1, 2, 15):
        vectors[f"RFC 4648 3.5 bits {bits} after the end of the signature"] = using(
            lambda f, b: _with_bits(f.token(), b), bits
        )
    vectors["RFC 4648 3.5 bits after the end of the claims"] = lambda f: f.respelt(
        part(f.header()), _with_bits(part(_of_length(f.claims(), 1)), 1)
    )
    vectors["RFC 4648 3.5 bits after the end of the header"] = lambda f: f.respelt(
        _with_bits(part(_of_length(f.header(), 1)), 1), part(f.claims())
    )
    return vectors


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _with_bits(text: str, bits: int) -> str:
    """Set bits of the last letter that no byte comes of."""
    return text[:-1] + ALPHABET[ALPHABET.index(text[-1]) | bits]


def _of_length(value: dict[str, Any], rest: int) -> bytes:
    """Return the JSON with so many spaces that its length has this rest by three."""
    text = json.dumps(value).encode()
    return text + b" " * ((rest - len(text)) % 3)


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _after() -> dict[str, Make]:
    rests = (
        *("AA", "AAAA", "=", "====", "!", '"', "'", "#x", "?x=1", "&x=1", "%00", "%20"),
        *(
            "\\n",
            "/",
            "/..",
            ">",
            "]",
            ")",
            "|",
            "+",
            "*",
            "$",
            "\xa0",
            "\xad",
            "\xff",
            ".none",
            "--",
            "\u200b",
            "\ufeff",
        ),
    )
    vectors: dict[str, Make] = {
        f"RFC 7515 7.1 {rest!a} after it": using(lambda f, r: f.token() + r, rest) for rest in rests
    }
    for before in ('"', "'", "=", "!", "%20", "\xef\xbb\xbf", "\ufeff", "#", "JWT:", "jwt=", "v1."):
        vectors[f"RFC 7515 7.1 {before!a} before it"] = using(lambda f, b: b + f.token(), before)
    whole: dict[str, Callable[[str], str]] = {
        "in braces": lambda token: f"{{{token}}}",
        "in JSON": lambda token: json.dumps({"token": token}),
        "in a list": lambda token: json.dumps([token]),
        "encoded again": lambda token: base64url(token.encode()),
        "in lower case": str.lower,
        "in upper case": str.upper,
        "backwards": lambda token: token[::-1],
        "twice": lambda token: token + token,
        "twice with a dot": lambda token: f"{token}.{token}",
        "percent-encoded": lambda token: "".join(f"%{ord(letter):02x}" for letter in token[:300]),
        "rotated": lambda token: token[1:] + token[0],
    }
    vectors.update({f"RFC 7515 7.1 all of it {name}": using(lambda f, c: c(f.token()), c) for name, c in whole.items()})
    return vectors


def _serialisations() -> dict[str, Make]:
    def flattened(f: Forger) -> dict[str, Any]:
        header, claims, signature = f.parts()
        return {"payload": claims, "protected": header, "signature": signature}

    def general(f: Forger) -> dict[str, Any]:
        flat = flattened(f)
        return {"payload": flat.pop("payload"), "signatures": [flat]}

    def unencoded(f: Forger, header: dict[str, Any], middle: str) -> str:
        content = f"{part(f.header(**header))}."
        signature = base64url(f.key.sign(content.encode() + json.dumps(f.claims()).encode()))
        return f"{content}{middle}.{signature}"

    lost = {"b64": False, "crit": ["b64"]}
    return {
        "RFC 7515 7.2.1 general JSON of a good token": lambda f: json.dumps(general(f)),
        "RFC 7515 7.2.2 flattened JSON of a good token": lambda f: json.dumps(flattened(f)),
        "RFC 7515 7.2.1 general JSON, encoded": lambda f: part(general(f)),
        "RFC 7515 7.2.2 flattened JSON, encoded": lambda f: part(flattened(f)),
        "RFC 7515 7.2.2 flattened JSON as the claims": lambda f: f.signed(f.header(), flattened(f)),
        "RFC 7515 F a good token, detached": lambda f: f"{f.parts()[0]}..{f.parts()[2]}",
        "RFC 7797 3 b64 false, detached": lambda f: unencoded(f, lost, ""),
        "RFC 7797 3 b64 false, encoded all the same": lambda f: f.token(lost),
        "RFC 7797 3 b64 false, not critical": lambda f: unencoded(f, {"b64": False}, ""),
        "RFC 7797 3 b64 false, not critical, encoded": lambda f: f.token({"b64": False}),
        "RFC 7797 3 b64 false, claims as they are": lambda f: unencoded(
            f, lost, json.dumps(f.claims(), separators=(",", ":"))
        ),
        "RFC 7797 3 b64 true and critical": lambda f: f.token({"b64": True, "crit": ["b64"]}),
        "RFC 7797 3 b64 a text": lambda f: f.token({"b64": "false", "crit": ["b64"]}),
        "RFC 7797 3 b64 null": lambda f: f.token({"b64": None}),
        "RFC 7797 3 b64 zero": lambda f: f.token({"b64": 0}),
        "RFC 7797 6 b64 critical and missing": lambda f: f.token({"crit": ["b64"]}),
    }


def _encrypted() -> dict[str, Make]:
    def jwe(f: Forger, *, count: int = 5, **header: Any) -> str:
        return ".".join([part(f.header(**header)), *(base64url(bytes([n]) * 12) for n in range(count - 1))])

    algorithms = ("RSA1_5", "RSA-OAEP-256", "A256KW", "dir", "ECDH-ES", "ECDH-ES+A256KW", "A256GCMKW", "EdDSA", "none")
    return {
        **{
            f"RFC 7516 3.1 five parts, {name}": using(lambda f, a: jwe(f, alg=a, enc="A256GCM"), name)
            for name in algorithms
        },
        "RFC 7516 3.1 five parts, work without end": lambda f: jwe(
            f, alg="PBES2-HS512+A256KW", enc="A256GCM", p2s="c2FsdA", p2c=2**31 - 1
        ),
        "RFC 7516 4.1.3 five parts, zip": lambda f: jwe(f, alg="dir", enc="A128GCM", zip="DEF"),
        "RFC 7516 3.1 five parts around a good token": lambda f: ".".join([*f.parts(), "AAAA", "AAAA"]),
        "RFC 7516 3.1 four parts": lambda f: jwe(f, count=4, alg="dir", enc="A256GCM"),
        "RFC 7516 3.1 five parts, all but the header empty": lambda f: (
            f"{part(f.header(alg='dir', enc='A256GCM'))}...."
        ),
        "RFC 7519 A.2 nested: five parts that say JWT": lambda f: jwe(f, alg="dir", enc="A256GCM", cty="JWT"),
        "RFC 7516 7.2 JSON": lambda f: json.dumps({"protected": part(f.header(enc="A256GCM")), "ciphertext": "AAAA"}),
    }


ENCODINGS: dict[str, Make] = {
    **_examples(),
    **_arrangements(),
    **_spellings(),
    **_after(),
    **_serialisations(),
    **_encrypted(),
}
