"""Opaque signed cursors: positions in ordered streams, and positions in a sorted list.

A cursor is `base64url(body + tag)`, the tag being the first 16 bytes of HMAC-SHA256 over purpose and body
(RFC 2104; 128 bits, RFC 4868's truncation). The body is not secret, only unforgeable.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Mapping
from uuid import UUID

import orjson

from chassis.errors import CursorMismatch, InvalidCursor

TAG_BYTES = 16
POSITION = struct.Struct(">16sQ")
MAX_CURSOR_CHARACTERS = 16_384


class CursorSigner:
    """Makes and reads cursors with one shared secret (at least 32 characters)."""

    def __init__(self, secret: str) -> None:
        self._key = secret.encode()

    def position(self, heads: Mapping[UUID, int]) -> str:
        """Sign a position: for each stream the sequence number of the last entry seen."""
        body = b"".join(POSITION.pack(stream.bytes, heads[stream]) for stream in sorted(heads))
        return self._sign(b"position", body)

    def read_position(self, cursor: str, *, field: str = "cursor") -> dict[UUID, int]:
        """Return what `position` was given. Raises InvalidCursor, for the parameter or header that is named."""
        body = self._verify(b"position", cursor, field)
        if len(body) % POSITION.size:
            raise InvalidCursor(field=field)
        return {UUID(bytes=stream): sequence for stream, sequence in POSITION.iter_unpack(body)}

    def page(self, *, query: bytes, after: list[str | int | None], backwards: bool = False) -> str:
        """Sign a place in a sorted list: `query` fingerprints filter, sort and caller; `after` is the sort key."""
        digest = hashlib.sha256(query).hexdigest()[:16]
        return self._sign(b"page", orjson.dumps([digest, after, backwards]))

    def read_page(self, cursor: str, *, query: bytes) -> tuple[list[str | int | None], bool]:
        """Return (`after`, `backwards`). Raises InvalidCursor, or CursorMismatch for another query's cursor."""
        digest, after, backwards = orjson.loads(self._verify(b"page", cursor))
        if not hmac.compare_digest(digest, hashlib.sha256(query).hexdigest()[:16]):
            raise CursorMismatch(field="cursor")
        return after, backwards

    def peek(self, cursor: str) -> list[str | int | None]:
        """Return the sort key of any list's cursor, for what the list itself is made of; read_page has to follow.

        Raises InvalidCursor.
        """
        after: list[str | int | None] = orjson.loads(self._verify(b"page", cursor))[1]
        return after

    def _sign(self, purpose: bytes, body: bytes) -> str:
        return _encode(body + self._tag(purpose, body))

    def _verify(self, purpose: bytes, cursor: str, field: str = "cursor") -> bytes:
        if len(cursor) > MAX_CURSOR_CHARACTERS:
            raise InvalidCursor(field=field)
        try:
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise InvalidCursor(field=field) from None
        body, tag = raw[:-TAG_BYTES], raw[-TAG_BYTES:]
        canonical = _encode(raw) == cursor
        if not (hmac.compare_digest(tag, self._tag(purpose, body)) and canonical):
            raise InvalidCursor(field=field)
        return body

    def _tag(self, purpose: bytes, body: bytes) -> bytes:
        return hmac.digest(self._key, purpose + b"\0" + body, "sha256")[:TAG_BYTES]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
