"""Frames of WebSockets (RFC 6455, section 5.2), as far as who passes them on must know them: where each one ends.

Whether they are good ones is for the service to say, whose library checks all of it, and whose close frame passes back.
"""

from typing import NamedTuple

from websockets.frames import Close, Frame, Opcode
from websockets.utils import apply_mask

MAX_MESSAGE = 64 * 1024
MAX_PARTS = 256
FIN = 0x80
MASKED = 0x80
OPCODE = 0x0F
LENGTH = 0x7F
TWO_BYTES = 126
EIGHT_BYTES = 127
FIRST_CONTROL = 0x8
MASK_BYTES = 4


class MessageTooLarge(Exception):
    """A client's message is larger than one may be."""


class Head(NamedTuple):
    """The head of a frame: where in the data its payload begins, and where it ends."""

    first: int
    masked: bool
    begin: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.begin

    @property
    def opcode(self) -> int:
        return self.first & OPCODE

    @property
    def is_control(self) -> bool:
        return self.opcode >= FIRST_CONTROL

    @property
    def is_last(self) -> bool:
        return bool(self.first & FIN)


class Message(NamedTuple):
    """What a client sent, as it goes on: a control frame, or all frames of a message; `text` is what they say."""

    opcode: int
    raw: bytes
    text: bytes


def head_at(data: bytes | bytearray, at: int) -> Head | None:
    """Return the head of the frame that begins at `at`; None where not all of it has come."""
    if len(data) < at + 2:
        return None
    second = data[at + 1]
    length, begin = second & LENGTH, at + 2
    if length >= TWO_BYTES:
        wide = 2 if length == TWO_BYTES else 8
        if len(data) < begin + wide:
            return None
        length, begin = int.from_bytes(data[begin : begin + wide]), begin + wide
    masked = bool(second & MASKED)
    begin += MASK_BYTES if masked else 0
    return Head(data[at], masked, begin, begin + length)


class ClientFrames:
    """Puts together what a client sends: a message is passed on when all of it has come, so that it can be read."""

    __slots__ = ("_begun", "_parts", "_size", "_waiting")

    def __init__(self) -> None:
        self._waiting: bytearray | None = None
        self._parts: list[tuple[bytes, bytes]] = []
        self._size = 0
        self._begun = int(Opcode.BINARY)

    def take(self, data: bytes | bytearray) -> list[Message]:
        """Return what is complete now. Raises MessageTooLarge."""
        if self._waiting is not None:
            self._waiting += data
            data = self._waiting
        messages, at = [], 0
        while (head := head_at(data, at)) is not None:
            if head.size + self._size > MAX_MESSAGE or len(self._parts) >= MAX_PARTS:
                raise MessageTooLarge
            if len(data) < head.end:
                break
            message = self._frame(head, bytes(data[at : head.end]), _text(data, head))
            if message is not None:
                messages.append(message)
            at = head.end
        if at or self._waiting is None:
            self._waiting = bytearray(data[at:]) if at < len(data) else None
        return messages

    def _frame(self, head: Head, raw: bytes, text: bytes) -> Message | None:
        """Return the message that a frame is, or is the last one of."""
        if head.is_control or (head.is_last and not self._parts):
            return Message(head.opcode, raw, text)
        if not self._parts:
            self._begun = head.opcode
        self._parts.append((raw, text))
        self._size += head.size
        if not head.is_last:
            return None
        raws, texts = zip(*self._parts, strict=True)
        self._parts, self._size = [], 0
        return Message(self._begun, b"".join(raws), b"".join(texts))


class ServiceFrames:
    """Follows what a service sends, which is passed on as it comes: between which bytes something may be put in."""

    __slots__ = ("_head", "_in_message", "_left", "has_closed", "has_spoken")

    def __init__(self) -> None:
        self._head = b""
        self._left = 0
        self._in_message = False
        self.has_spoken = False
        """Whether a message has come, whole."""
        self.has_closed = False
        """Whether a close frame has come, after which nothing comes."""

    @property
    def between_frames(self) -> bool:
        return not self._left and not self._head

    @property
    def between_messages(self) -> bool:
        return self.between_frames and not self._in_message

    def end_of_frame(self, data: bytes) -> int | None:
        """Return how much of `data` belongs to the frame that is under way; None where that does not end in it."""
        left = self._left
        if self._head:
            head = head_at(self._head + data, 0)
            if head is None:
                return None
            left = head.end - len(self._head)
        return left if left <= len(data) else None

    def follow(self, data: bytes) -> None:
        """Go on by what has come."""
        data, at = self._head + data, self._left
        self._head = b""
        while at < len(data):
            head = head_at(data, at)
            if head is None:
                self._head, self._left = data[at:], 0
                return
            if not head.is_control:
                self._in_message = not head.is_last
                self.has_spoken = self.has_spoken or head.is_last
            self.has_closed = self.has_closed or head.opcode == Opcode.CLOSE
            at = head.end
        self._left = at - len(data)


def text_frame(text: bytes) -> bytes:
    """Return a message as a server sends it."""
    return Frame(Opcode.TEXT, text).serialize(mask=False)


def client_frame(text: bytes) -> bytes:
    """Return a message as a client sends it."""
    return Frame(Opcode.TEXT, text).serialize(mask=True)


def close_frame(code: int, reason: str) -> bytes:
    """Return a close frame as a server sends it."""
    return Frame(Opcode.CLOSE, Close(code, reason).serialize()).serialize(mask=False)


def _text(data: bytes | bytearray, head: Head) -> bytes:
    """Return the payload of a frame without its mask."""
    payload = data[head.begin : head.end]
    return bytes(apply_mask(payload, data[head.begin - MASK_BYTES : head.begin])) if head.masked else bytes(payload)
