"""Names, types and ranges of files, without any I/O."""

import re
import unicodedata
from urllib.parse import quote

MAX_NAME_BYTES = 255
FALLBACK_TYPE = "application/octet-stream"
# Shown by no browser as a page or a script; everything else travels as bytes.
HARMLESS_TYPE = re.compile(
    r"(image/(png|jpeg|gif|webp)|application/(pdf|zip|json)|text/(plain|csv)|audio/[\w.+-]+|video/[\w.+-]+)"
)
BYTE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def safe_name(text: str) -> str | None:
    """Return the last segment of a name in NFC, without control or bidirectional characters, at most 255 bytes."""
    name = unicodedata.normalize("NFC", text).replace("\\", "/").rpartition("/")[2]
    name = "".join(c for c in name if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}).strip()
    if name.strip(".") == "":
        return None
    while len(name.encode()) > MAX_NAME_BYTES:
        stem, dot, suffix = name.rpartition(".")
        name = f"{stem[:-1]}{dot}{suffix}" if dot and stem else name[:-1]
    return name


def stored_type(declared: str | None) -> str:
    """Return the declared type when it can do no harm, else bytes."""
    media_type = (declared or "").partition(";")[0].strip().lower()
    return media_type if HARMLESS_TYPE.fullmatch(media_type) else FALLBACK_TYPE


def disposition(name: str) -> str:
    """Return a Content-Disposition that saves and never shows (RFC 6266, RFC 5987)."""
    ascii_name = re.sub(r"[^A-Za-z0-9._ -]", "_", name)
    return f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"


def wanted_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return (start, end) of a single byte range, None for the whole. Raises ValueError beyond the end."""
    match = BYTE_RANGE.fullmatch((header or "").strip())
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
    if start >= size or end <= start:
        raise ValueError("range begins after the end")
    return start, end
