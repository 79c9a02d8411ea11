"""What a provider's word is worth (OpenID Connect Core 1.0, RFC 7636, RFC 9207), without any I/O."""

import base64
import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import jwt
from chassis.addresses import EmailAddress, parse_email

FLOW_LIFETIME = timedelta(minutes=10)
LEEWAY_SECONDS = 60
MAX_SUBJECT = 255
MAX_NAME = 100
MAX_IDENTITIES = 20
KEY_TYPES = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
"""The accepted algorithms, with the type of their keys: none of them has a secret that is shared."""
HALF_HASHES = {"EdDSA": hashlib.sha512}
REQUIRED = ["iss", "sub", "aud", "exp", "iat"]
ACCESS_TOKEN_TYPES = frozenset({"at+jwt", "application/at+jwt"})
MALFORMED = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
"""What a hostile token can make a decoder raise."""

Claims = Mapping[str, Any]


class NotProven(Exception):
    """The provider's answer proves nothing; the reason is for the log and the audit, without anything secret."""


class UnknownKey(NotProven):
    """The token may be signed with a key that is not among those that are known."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What an ID token has to say to be the answer to our request."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str | None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom a provider has proved: `address` as it names it, and whether that counts as theirs."""

    subject: str
    address: EmailAddress | None
    address_verified: bool
    display_name: str
    second_factor: bool


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636, section 4.2)."""
    return _unpadded(hashlib.sha256(verifier.encode()).digest())


def authorization_url(endpoint: str, parameters: Mapping[str, str]) -> str:
    """Return the address to send the browser to; a query that the endpoint has stays."""
    parts = urlsplit(endpoint)
    query = "&".join(filter(None, (parts.query, urlencode(parameters))))
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


def verify_id_token(token: str, *, keys: Sequence[Claims], expected: Expected) -> Claims:
    """Return the claims of an ID token (Core, section 3.1.3.7). Raises NotProven, UnknownKey when another may fit."""
    header = _header(token)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in KEY_TYPES:
        raise NotProven("signed with an algorithm that is not accepted")
    if "crit" in header or str(header.get("typ", "")).lower() in ACCESS_TOKEN_TYPES:
        raise NotProven("not an ID token")
    key = _key(keys, header.get("kid"), algorithm)
    decoder = jwt.PyJWT(options={"enforce_minimum_key_length": True})
    try:
        claims = decoder.decode(
            token,
            jwt.PyJWK(dict(key), algorithm=algorithm),
            algorithms=[algorithm],
            audience=expected.client_id,
            issuer=expected.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": REQUIRED},
        )
    except jwt.InvalidSignatureError:
        # Without its id, a key that has been changed is known by this alone.
        refusal = UnknownKey if header.get("kid") is None else NotProven
        raise refusal("the ID token is refused: InvalidSignatureError") from None
    except MALFORMED as error:
        raise NotProven(f"the ID token is refused: {type(error).__name__}") from None
    _check_party(claims, expected.client_id)
    _check_nonce(claims, expected.nonce)
    _check_access_token(claims, algorithm, expected.access_token)
    return claims


def person_of(claims: Claims, profile: Claims, *, trusted_domains: Collection[str]) -> Person:
    """Return whom the claims of an ID token name; `profile` has the address and the name, from there or userinfo.

    An address counts as theirs where `email_verified` is exactly true, or absent for a domain that the provider is
    trusted with. Raises NotProven for a subject that can be none.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
        raise NotProven("the subject is missing, too long or not text")
    email = profile.get("email")
    address = parse_email(email) if isinstance(email, str) and email.isprintable() else None
    amr = claims.get("amr")
    return Person(
        subject=subject,
        address=address,
        address_verified=address is not None and _is_verified(address, profile, trusted_domains),
        display_name=_display_name(profile.get("name"), address),
        second_factor=isinstance(amr, list) and "mfa" in amr,
    )


def _is_verified(address: EmailAddress, profile: Claims, trusted_domains: Collection[str]) -> bool:
    if "email_verified" in profile:
        return profile["email_verified"] is True
    return address.canonical.rpartition("@")[2] in trusted_domains


def _display_name(name: object, address: EmailAddress | None) -> str:
    """Return a name without control and direction characters; failing that, what stands before the @."""
    visible = "".join(one if one.isprintable() else " " for one in name) if isinstance(name, str) else ""
    tidy = " ".join(visible.split())[:MAX_NAME].rstrip()
    return tidy or (address.display.rpartition("@")[0] if address else "")


def _header(token: str) -> Claims:
    try:
        return jwt.get_unverified_header(token)
    except MALFORMED as error:
        raise NotProven(f"the ID token can't be read: {type(error).__name__}") from None


def _key(keys: Sequence[Claims], kid: object, algorithm: str) -> Claims:
    """Return the one key that a token may be signed with."""
    fitting = [
        key
        for key in keys
        if key.get("kty") == KEY_TYPES[algorithm]
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    ]
    if not fitting:
        raise UnknownKey("signed with a key that the provider does not publish")
    if len(fitting) != 1:
        raise NotProven("it is not clear which key the ID token is signed with")
    return fitting[0]


def _check_party(claims: Claims, client_id: str) -> None:
    """An ID token for several parties names the one that asked for it, and that is us."""
    audience, party = claims["aud"], claims.get("azp")
    if party is not None and party != client_id:
        raise NotProven("the ID token was made for another party")
    if isinstance(audience, list) and len(audience) > 1 and party is None:
        raise NotProven("the ID token is for several parties, and names none")


def _check_nonce(claims: Claims, expected: str) -> None:
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not nonce.isascii() or not hmac.compare_digest(nonce, expected):
        raise NotProven("the ID token answers another request")


def _check_access_token(claims: Claims, algorithm: str, access_token: str | None) -> None:
    """Where the ID token names the access token, it is the one that came with it (Core, section 3.1.3.6)."""
    if "at_hash" not in claims:
        return
    digest = HALF_HASHES.get(algorithm, hashlib.sha256)((access_token or "").encode()).digest()
    expected, given = _unpadded(digest[: len(digest) // 2]), claims["at_hash"]
    fits = isinstance(given, str) and given.isascii() and hmac.compare_digest(given.rstrip("="), expected)
    if access_token is None or not fits:
        raise NotProven("the access token is not the one that the ID token names")


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
