"""Names, types and ranges of files, without any I/O."""

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import quote

import puremagic

MAX_NAME_BYTES = 255
FALLBACK_TYPE = "application/octet-stream"
TEXT_TYPES = frozenset({"application/json", "text/csv", "text/plain"})
MARKED_TYPES = frozenset(
    {"application/pdf", "application/zip", "image/gif", "image/jpeg", "image/png", "image/webp"},
)
MEDIA_KINDS = ("audio/", "video/")
MEDIA_TYPE = re.compile(r"(audio|video)/[a-z0-9.+-]{1,64}")
INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Persian words and joined emoji need these two, and they turn no text around.
JOINERS = frozenset("\u200c\u200d")
BYTE_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)", re.IGNORECASE)


def safe_name(text: str) -> str | None:
    """Return the last segment of a name in NFC, without control or bidirectional characters, at most 255 bytes.

    None when nothing is left that could be a name.
    """
    last = text.replace("\\", "/").rpartition("/")[2]
    visible = "".join(c for c in last if c in JOINERS or unicodedata.category(c) not in INVISIBLE)
    name = unicodedata.normalize("NFC", visible).strip()
    return _shortened(name) if name.strip(".") else None


def _shortened(name: str) -> str:
    """Take characters from the end of the stem, so that the suffix stays."""
    stem, dot, suffix = name.rpartition(".")
    room = MAX_NAME_BYTES - len(f"{dot}{suffix}".encode())
    if not stem or room < 1:
        return _cut(name, MAX_NAME_BYTES)
    return f"{_cut(stem, room)}{dot}{suffix}"


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")


def stored_type(declared: str | None, head: bytes) -> str:
    """Return the declared type when it can do no harm and the first bytes agree, else bytes.

    HTML, SVG, scripts and programs are never served under their own type. Without a declared type a harmless one
    that the bytes show is taken.
    """
    wanted = (declared or FALLBACK_TYPE).partition(";")[0].strip().lower()
    shown = _shown_types(head)
    if wanted == FALLBACK_TYPE:
        return next((kind for kind in shown if kind in MARKED_TYPES), FALLBACK_TYPE)
    return wanted if _agrees(wanted, shown, head) else FALLBACK_TYPE


def _agrees(wanted: str, shown: Iterable[str], head: bytes) -> bool:
    if wanted in TEXT_TYPES:
        return b"\0" not in head
    if wanted in MARKED_TYPES:
        return wanted in shown
    return MEDIA_TYPE.fullmatch(wanted) is not None and any(kind.startswith(MEDIA_KINDS) for kind in shown)


def _shown_types(head: bytes) -> list[str]:
    """Return the types that the first bytes are marks of, the likeliest first."""
    try:
        return [match.mime_type for match in puremagic.magic_string(head)]
    except (puremagic.PureError, ValueError):
        return []


def disposition(name: str) -> str:
    """Return a Content-Disposition that saves and never shows (RFC 6266, RFC 5987)."""
    ascii_name = re.sub(r"[^A-Za-z0-9._ -]", "_", name)
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"


def wanted_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return (start, end) of a single byte range; None for the whole, also for what is not one valid range.

    Raises ValueError when the file has no byte of the range (RFC 9110, section 14).
    """
    match = BYTE_RANGE.fullmatch((header or "").strip())
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        raise ValueError("no byte of the file is in the range")
    return start, end
