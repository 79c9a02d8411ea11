"""Encryption of single column values (R43): AES-256-GCM with a key ring, bound to the place of the value."""

import base64
import secrets
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12
KEY_BYTES = 32
EXPECTED_RING = "expected kid:base64(32 bytes), several separated by commas, each kid once"


class SealError(ValueError):
    """A sealed value that can't be opened: unknown key, changed bytes or another place than it was sealed for."""


class KeyRing:
    """Keys by id; all of them open, the first one seals.

    Values look like `v1.<kid>.<base64url(nonce + ciphertext + tag)>` and are bound to `place`, by
    convention `table|column|row id`, so that a value copied to another row does not open there.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys.values()):
            raise ValueError("a key ring needs at least one key, each of exactly 32 bytes")
        self._keys = dict(keys)
        self._ciphers = {kid: AESGCM(key) for kid, key in keys.items()}
        self._newest = next(iter(keys))

    @classmethod
    def parse(cls, text: str) -> "KeyRing":
        """Read `kid:base64(32 bytes)[,kid2:...]`, newest first. Raises ValueError on anything else."""
        keys: dict[str, bytes] = {}
        for entry in text.split(","):
            kid, separator, encoded = entry.strip().partition(":")
            if not kid or not separator or "." in kid or kid in keys:
                raise ValueError(EXPECTED_RING)
            try:
                keys[kid] = base64.b64decode(encoded, validate=True)
            except ValueError:  # binascii.Error is one; text beyond ASCII is another
                raise ValueError(EXPECTED_RING) from None
        return cls(keys)

    def derived(self, purpose: str) -> dict[str, bytes]:
        """Return a key of 32 bytes for another purpose from each key, by kid, newest first (HKDF, RFC 5869)."""
        return {
            kid: HKDF(hashes.SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(key)
            for kid, key in self._keys.items()
        }

    @property
    def newest(self) -> str:
        """The id of the key that seals."""
        return self._newest

    def knows(self, kid: str) -> bool:
        """Tell whether what was sealed with this key can be opened."""
        return kid in self._ciphers

    def seal(self, plain: bytes, *, place: str) -> str:
        """Encrypt `plain` with the newest key for `place`."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + self._ciphers[self._newest].encrypt(nonce, plain, place.encode())
        return f"v1.{self._newest}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, value: str, *, place: str) -> bytes:
        """Decrypt what `seal` made for the same `place`. Raises SealError."""
        version, _, rest = value.partition(".")
        kid, _, encoded = rest.partition(".")
        if version != "v1" or kid not in self._ciphers:
            raise SealError("sealed with a key that is not in the ring")
        try:
            sealed = base64.b64decode(encoded, altchars=b"-_", validate=True)
            return self._ciphers[kid].decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], place.encode())
        except (InvalidTag, ValueError):
            raise SealError("changed, or sealed for another place") from None
