"""The key pair by which push services know this installation (RFC 8292)."""

import base64

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

KEY_BYTES = 32
EXPECTED_KEY = "expected the 32 bytes of a private key of P-256 in base64url"


def private_key(text: str) -> ec.EllipticCurvePrivateKey:
    """Read a private key from the 32 bytes of its scalar in base64url. Raises ValueError."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise ValueError(EXPECTED_KEY) from None
    if len(raw) != KEY_BYTES:
        raise ValueError(EXPECTED_KEY)
    try:
        return ec.derive_private_key(int.from_bytes(raw, "big"), ec.SECP256R1())
    except ValueError:
        raise ValueError(EXPECTED_KEY) from None


def public_key(text: str) -> str:
    """Return the public key of a private one as browsers take it: an uncompressed point in base64url."""
    encoding, form = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    point = private_key(text).public_key().public_bytes(encoding, form)
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode()
