"""Access tokens as the auth service makes them, and as it never would."""

import base64
import json
import time
from typing import Any

from chassis.ids import uuid7
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def part(value: Any) -> str:
    """Encode a part of a token: bytes as they are, all else as JSON."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


class Issuer:
    """Makes access tokens as the auth service does."""

    def __init__(self, kid: str = "2026-a") -> None:
        self.kid = kid
        self.key = Ed25519PrivateKey.generate()

    @property
    def public_bytes(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def jwk(self) -> dict[str, str]:
        x = base64.urlsafe_b64encode(self.public_bytes).rstrip(b"=").decode()
        return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": x}

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": "taskloom",
            "aud": "taskloom-api",
            "sub": str(uuid7()),
            "sid": str(uuid7()),
            "jti": str(uuid7()),
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "scope": "",
            "ver": 1,
            "roles": ["user"],
        }
        return {name: value for name, value in {**claims, **changes}.items() if value is not ...}

    def token(self, *, header: dict[str, Any] | None = None, **changes: Any) -> str:
        fields = {"alg": "EdDSA", "typ": "at+jwt", "kid": self.kid, **(header or {})}
        return self.sign({name: value for name, value in fields.items() if value is not ...}, self.claims(**changes))

    def sign(self, header: Any, claims: Any) -> str:
        """Sign exactly this, which no library would let through."""
        content = f"{part(header)}.{part(claims)}"
        return f"{content}.{part(self.key.sign(content.encode()))}"
