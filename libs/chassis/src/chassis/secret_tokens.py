"""Opaque tokens: a prefix that scanners of leaked secrets can look for, random base62, and a checksum (R4, R14).

The checksum lets a typing error or an invented token be refused without looking anything up.
"""

import hashlib
import hmac
import secrets
import zlib
from dataclasses import dataclass

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LETTERS = frozenset(ALPHABET)
CHECKSUM_LENGTH = 6
MAX_BITS = 256


@dataclass(frozen=True, slots=True)
class TokenForm:
    """What tokens of one sort look like: `prefix`, `body_length` base62 digits of a random number, 6 of its CRC-32.

    The number has as many bits as fit, 256 at most.
    """

    prefix: str
    body_length: int

    def new(self) -> str:
        """Return a new random token."""
        body = _base62(secrets.randbelow(min(len(ALPHABET) ** self.body_length, 2**MAX_BITS)), self.body_length)
        return f"{self.prefix}{body}{_checksum(body)}"

    def fits(self, text: str) -> bool:
        """Tell by form and checksum whether the text can be such a token."""
        length = len(self.prefix) + self.body_length + CHECKSUM_LENGTH
        if len(text) != length or not text.startswith(self.prefix) or not text.isascii():
            return False
        body = text[len(self.prefix) : -CHECKSUM_LENGTH]
        if not LETTERS.issuperset(body):
            return False
        return hmac.compare_digest(_checksum(body), text[-CHECKSUM_LENGTH:])


REFRESH_TOKEN = TokenForm("tlm_rt_", 43)
API_TOKEN = TokenForm("tlm_pat_", 32)


def token_digest(token: str) -> bytes:
    """Return the SHA-256 of a token, which says nothing about it to whoever reads it."""
    return hashlib.sha256(token.encode()).digest()


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
