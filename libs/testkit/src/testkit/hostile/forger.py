"""Makes tokens that no library would make: every part of them can be said byte by byte."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from chassis.clock import utcnow
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

T = TypeVar("T")
Make = Callable[["Forger"], str]
MISSING = ...
SUBJECT, SESSION, TOKEN = (str(UUID(f"0199abcd-0000-7000-8000-00000000000{digit}")) for digit in "abc")
"""Ids with letters, so that their upper case is another text."""


def using(function: Callable[..., T], *given: Any) -> Callable[[Any], T]:
    """Return the function with all but its first argument given."""
    return lambda first: function(first, *given)


def base64url(raw: bytes) -> str:
    """Encode without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def part(value: Any) -> str:
    """Encode a part of a token: bytes as they are, all else as JSON."""
    return base64url(value if isinstance(value, bytes) else json.dumps(value).encode())


@dataclass(frozen=True)
class Forger:
    """Knows the right key and everything else that a good token has; `other_…` is what is right elsewhere only.

    Whatever it makes depends on its fields alone: two vectors that are the same give the same text.
    """

    key: Ed25519PrivateKey
    kid: str
    typ: str
    issuer: str
    audience: str
    lifetime: int
    other_typ: str
    other_issuer: str
    other_audience: str
    identity: str = ""
    """A good identity header, of the gateway's own making."""
    now: int = field(default_factory=lambda: int(utcnow().timestamp()))

    @property
    def public(self) -> bytes:
        """The public key, raw."""
        return self.key.public_key().public_bytes_raw()

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return good claims with changes; `...` takes one away."""
        claims = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": SUBJECT,
            "sid": SESSION,
            "jti": TOKEN,
            "iat": self.now - 1,
            "nbf": self.now - 1,
            "exp": self.now - 1 + self.lifetime,
            "roles": ["user"],
            "scope": "",
            "ver": 1,
        }
        return {name: value for name, value in {**claims, **changes}.items() if value is not MISSING}

    def header(self, **changes: Any) -> dict[str, Any]:
        """Return a good header with changes; `...` takes a field away."""
        header = {"alg": "EdDSA", "typ": self.typ, "kid": self.kid, **changes}
        return {name: value for name, value in header.items() if value is not MISSING}

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a token that is signed by the right key, whatever it says."""
        return self.signed(self.header(**(header or {})), self.claims(**claims))

    def signed(self, header: Any, claims: Any, *, key: Ed25519PrivateKey | None = None) -> str:
        """Sign exactly this; bytes are taken as they are."""
        content = f"{part(header)}.{part(claims)}"
        return f"{content}.{base64url((key or self.key).sign(content.encode()))}"

    def sealed(self, sign: Callable[[bytes], bytes], header: Any, claims: Any = None) -> str:
        """Return a token with a signature of any kind; with good claims unless others are given."""
        content = f"{part(header)}.{part(self.claims() if claims is None else claims)}"
        return f"{content}.{base64url(sign(content.encode()))}"

    def respelt(self, header: str, claims: str) -> str:
        """Sign parts that are encoded already, in whatever way."""
        content = f"{header}.{claims}"
        return f"{content}.{base64url(self.key.sign(content.encode()))}"

    def parts(self) -> tuple[str, str, str]:
        """Return the three parts of a good token."""
        header, claims, signature = self.token().split(".")
        return header, claims, signature

    def signature(self) -> bytes:
        """Return the signature of the good token."""
        return base64.urlsafe_b64decode(self.parts()[2] + "==")

    def with_signature(self, change: Callable[[bytes], bytes]) -> str:
        """Return the good token with another signature."""
        header, claims, _ = self.parts()
        return f"{header}.{claims}.{base64url(change(self.signature()))}"
