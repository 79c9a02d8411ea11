"""Tokens whose signature is no signature, or one of something else (RFC 7515 to 7518, 7797, 8032, 8037)."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from functools import cache

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from testkit.hostile.forger import Forger, Make, base64url, part, using
from testkit.hostile.headers import stranger

ORDER = 2**252 + 27742317777372353535851937790883648493
HMAC_KEY = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
"""Of RFC 7515, appendix A.1."""
EC_D = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
"""Of RFC 7515, appendix A.3."""
LOW_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]
"""Points of small order and their encodings that are not canonical (RFC 8032, section 5.1.3)."""
RFC_8032_SECRETS = [
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]


@cache
def _rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def _curve(name: str) -> ec.EllipticCurvePrivateKey:
    curves: dict[str, ec.EllipticCurve] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    return ec.generate_private_key(curves.get(name, ec.SECP256K1()))


HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def es256_of_the_rfc(content: bytes) -> bytes:
    """Sign with the private key of RFC 7515, appendix A.3."""
    secret = int.from_bytes(base64.urlsafe_b64decode(EC_D + "="), "big")
    return _raw_ec(ec.derive_private_key(secret, ec.SECP256R1()), content, HASHES["256"])


def _rsa_signature(algorithm: str, content: bytes) -> bytes:
    digest = HASHES[algorithm[2:]]
    if algorithm.startswith("RS"):
        return _rsa().sign(content, padding.PKCS1v15(), digest)
    return _rsa().sign(content, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)


def _raw_ec(key: ec.EllipticCurvePrivateKey, content: bytes, digest: hashes.HashAlgorithm) -> bytes:
    size = (key.curve.key_size + 7) // 8
    r, s = utils.decode_dss_signature(key.sign(content, ec.ECDSA(digest)))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def _ec_signature(algorithm: str, content: bytes) -> bytes:
    return _raw_ec(_curve(algorithm), content, HASHES.get(algorithm[2:5], HASHES["256"]))


def _hmac(secret: bytes, algorithm: str = "HS256") -> Callable[[bytes], bytes]:
    return lambda content: hmac.new(secret, content, f"sha{algorithm[2:]}").digest()


def _public_forms(f: Forger) -> dict[str, bytes]:
    """Return every text in which somebody could have handed the public key to a library that takes any secret."""
    encoding, form = serialization.Encoding, serialization.PublicFormat
    public = f.key.public_key()
    pem = public.public_bytes(encoding.PEM, form.SubjectPublicKeyInfo)
    jwk = {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": f.kid, "x": base64url(f.public)}
    return {
        "PEM": pem,
        "PEM without its last line end": pem.rstrip(b"\n"),
        "PEM with CRLF": pem.replace(b"\n", b"\r\n"),
        "PEM in one line": pem.replace(b"\n", b""),
        "PEM with escaped line ends": pem.replace(b"\n", b"\\n"),
        "DER": public.public_bytes(encoding.DER, form.SubjectPublicKeyInfo),
        "OpenSSH": public.public_bytes(encoding.OpenSSH, form.OpenSSH),
        "raw": f.public,
        "hexadecimal": f.public.hex().encode(),
        "x of the JWK": base64url(f.public).encode(),
        "JWK": json.dumps(jwk).encode(),
        "JWK set": json.dumps({"keys": [jwk]}).encode(),
    }


PUBLIC_FORMS = (
    *("PEM", "PEM without its last line end", "PEM with CRLF", "PEM in one line", "PEM with escaped line ends"),
    *("DER", "OpenSSH", "raw", "hexadecimal", "x of the JWK", "JWK", "JWK set"),
)


def _confusions() -> dict[str, Make]:
    vectors: dict[str, Make] = {
        f"RFC 8725 2.1 HS256 with the public key as its secret: {form}": using(
            lambda f, n: f.sealed(_hmac(_public_forms(f)[n]), f.header(alg="HS256")), form
        )
        for form in PUBLIC_FORMS
    }
    for algorithm in ("HS384", "HS512"):
        for form in ("PEM", "raw"):
            vectors[f"RFC 8725 2.1 {algorithm} with the public key as its secret: {form}"] = using(
                lambda f, a, n: f.sealed(_hmac(_public_forms(f)[n], a), f.header(alg=a)), algorithm, form
            )
    for secret in (b"", b"secret", b"taskloom", b"changeme", b"your-256-bit-secret"):
        vectors[f"RFC 8725 2.2 HS256 with the secret {secret!r}"] = using(
            lambda f, s: f.sealed(_hmac(s), f.header(alg="HS256")), secret
        )
    vectors["RFC 8725 3.10 HS256 with what is in /dev/null"] = lambda f: f.sealed(
        _hmac(b""), f.header(alg="HS256", kid="../../../../dev/null")
    )
    for algorithm in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"):
        vectors[f"RFC 7518 3.1 {algorithm} with a key of its own"] = using(
            lambda f, a: f.sealed(lambda content: _rsa_signature(a, content), f.header(alg=a)), algorithm
        )
    for algorithm in ("ES256", "ES384", "ES512", "ES256K"):
        vectors[f"RFC 7518 3.1 {algorithm} with a key of its own"] = using(
            lambda f, a: f.sealed(lambda content: _ec_signature(a, content), f.header(alg=a)), algorithm
        )
    vectors["RFC 8725 2.1 an RSA signature that says EdDSA"] = lambda f: f.sealed(
        lambda content: _rsa_signature("RS256", content), f.header()
    )
    vectors["RFC 8725 2.1 an ES256 signature that says EdDSA"] = lambda f: f.sealed(
        lambda content: _ec_signature("ES256", content), f.header()
    )
    vectors["RFC 8725 2.1 an HMAC with the public key that says EdDSA"] = lambda f: f.sealed(
        _hmac(f.public), f.header()
    )
    return vectors


def _other_keys() -> dict[str, Make]:
    ed448_key = ed448.Ed448PrivateKey.from_private_bytes(bytes(range(57)))
    return {
        **{
            f"RFC 8032 7.1 the private key {secret[:8]}": using(
                lambda f, s: f.signed(
                    f.header(), f.claims(), key=Ed25519PrivateKey.from_private_bytes(bytes.fromhex(s))
                ),
                secret,
            )
            for secret in RFC_8032_SECRETS
        },
        "RFC 8037 A.1 its private key": lambda f: f.signed(f.header(), f.claims(), key=stranger()),
        "RFC 8037 3.1 Ed448 that says EdDSA": lambda f: f.sealed(ed448_key.sign, f.header()),
        "RFC 8037 3.1 Ed448 that says Ed448": lambda f: f.sealed(ed448_key.sign, f.header(alg="Ed448")),
        "RFC 8037 3.2 an X25519 secret for a signature": lambda f: f.sealed(
            lambda _: bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"), f.header()
        ),
    }


def _mangled() -> dict[str, Make]:
    def s_plus(times: int) -> Callable[[bytes], bytes]:
        def change(signature: bytes) -> bytes:
            s = int.from_bytes(signature[32:], "little") + times * ORDER
            return signature[:32] + s.to_bytes(32, "little")

        return change

    changes: dict[str, Callable[[bytes], bytes]] = {
        "zeros (the psychic signature)": lambda _: bytes(64),
        "ones": lambda _: b"\xff" * 64,
        "one byte": lambda s: s[:1],
        "R only": lambda s: s[:32],
        "S only": lambda s: s[32:],
        "cut by a byte": lambda s: s[:-1],
        "without its first byte": lambda s: s[1:],
        "longer by a byte before": lambda s: b"\0" + s,
        "twice": lambda s: s * 2,
        "with the length of Ed448": lambda s: s + bytes(50),
        "R of zeros": lambda s: bytes(32) + s[32:],
        "S of zeros": lambda s: s[:32] + bytes(32),
        "S is 1": lambda s: s[:32] + b"\1" + bytes(31),
        "S is the order": lambda s: s[:32] + ORDER.to_bytes(32, "little"),
        "halves swapped": lambda s: s[32:] + s[:32],
        "backwards": lambda s: s[::-1],
        "S in the other byte order": lambda s: s[:32] + s[:31:-1],
        "negated": lambda s: s[:32] + ((-int.from_bytes(s[32:], "little")) % ORDER).to_bytes(32, "little"),
        "in DER": lambda s: utils.encode_dss_signature(int.from_bytes(s[:32], "big"), int.from_bytes(s[32:], "big")),
        "in hexadecimal": lambda s: s.hex().encode(),
        "its digest": lambda s: hashlib.sha512(s).digest(),
        "S and the order": s_plus(1),
        "S and twice the order": s_plus(2),
        "S and seven times the order": s_plus(7),
    }
    for bit in (0, 7, 128, 255, 256, 383, 500, 509, 510, 511):
        changes[f"bit {bit} changed"] = using(
            lambda s, b: (int.from_bytes(s, "little") ^ (1 << b)).to_bytes(64, "little"), bit
        )
    for point in LOW_ORDER:
        changes[f"R is {point[:2]}…{point[-2:]} ({LOW_ORDER.index(point)}), S is 0"] = using(
            lambda _, p: bytes.fromhex(p) + bytes(32), point
        )
    return {
        f"RFC 8032 5.1.7 signature {name}": using(lambda f, c: f.with_signature(c), change)
        for name, change in changes.items()
    }


def _of_something_else() -> dict[str, Make]:
    contents: dict[str, Callable[[bytes], bytes]] = {
        "the claims": lambda content: content.partition(b".")[2],
        "the header": lambda content: content.partition(b".")[0],
        "a dot more": lambda content: content + b".",
        "no dot": lambda content: content.replace(b".", b""),
        "nothing": lambda _: b"",
        "its SHA-512 (Ed25519ph)": lambda content: hashlib.sha512(content).digest(),
        "its SHA-256": lambda content: hashlib.sha256(content).digest(),
        "its upper case": bytes.upper,
        "a line more": lambda content: content + b"\n",
        "UTF-16": lambda content: content.decode().encode("utf-16-le"),
        "the JSON, not encoded": lambda content: b".".join(map(_decoded, content.split(b"."))),
    }
    vectors: dict[str, Make] = {
        f"RFC 7515 5.2 a signature of {name}": using(
            lambda f, c: f.sealed(lambda content: f.key.sign(c(content)), f.header()), change
        )
        for name, change in contents.items()
    }

    def transplanted(f: Forger, header: str | None = None, claims: str | None = None) -> str:
        good_header, good_claims, signature = f.parts()
        return f"{header or good_header}.{claims or good_claims}.{signature}"

    vectors["RFC 7515 10.1 claims changed after signing: an admin"] = lambda f: transplanted(
        f, claims=part(f.claims(roles=["admin"]))
    )
    vectors["RFC 7515 10.1 claims changed after signing: a space"] = lambda f: transplanted(
        f, claims=part(json.dumps(f.claims()).encode() + b" ")
    )
    vectors["RFC 7515 10.1 header changed after signing: a space"] = lambda f: transplanted(
        f, header=part(json.dumps(f.header()).encode() + b" ")
    )
    vectors["RFC 7515 10.1 the signature of another good token"] = lambda f: transplanted(
        f, claims=f.token(scope="tasks:write").split(".")[1]
    )
    return vectors


def _decoded(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


SIGNATURES: dict[str, Make] = {**_confusions(), **_other_keys(), **_mangled(), **_of_something_else()}
