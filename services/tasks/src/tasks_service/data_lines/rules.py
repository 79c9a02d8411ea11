"""Lines of a file, found in the bytes that have been read so far."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

FORMAT = 1
"""The version of the lines; it is in the first of them."""
MAX_LINE = 1024 * 1024
"""How long a line may be that is taken in, in bytes."""
MAX_LINES = 100
"""How many lines are taken in together."""
END = b"\n"


@dataclass(frozen=True, slots=True)
class Cut:
    """Whole lines with their ends, and whether what follows is a line that is too long to be looked at."""

    lines: Sequence[bytes]
    is_too_long: bool = False

    @property
    def size(self) -> int:
        """How many bytes the lines have."""
        return sum(map(len, self.lines))


def cut(window: bytes, *, is_whole: bool, limit: int = MAX_LINES) -> Cut:
    """Return the first lines of a window, which is longer than a line may be, or `is_whole` to the file's end."""
    lines = window.split(END, limit)
    rest = lines.pop() if len(lines) <= limit else lines.pop(limit)
    whole = [line + END for line in lines]
    if is_whole and rest and len(whole) < limit:
        whole.append(rest)
    return Cut(whole, is_too_long=not whole and len(window) > MAX_LINE)


def encoded(line: dict[str, Any]) -> bytes:
    """Return an object as a line, instants in UTC with a `Z`."""
    return orjson.dumps(line, default=_as_text, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


def _as_text(value: Any) -> str:
    """Return an id as text: those of the driver are of a type of their own."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError
