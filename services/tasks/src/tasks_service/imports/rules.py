"""Whether a file is as whole as an export says in its first and its last line."""

from typing import Any

from chassis.errors import ErrorDetail
from pydantic import BaseModel, Field

from tasks_service.data_lines.schemas import ToldLine

FILE_CUT = ErrorDetail("FILE_CUT", "The file ends before its last line: what came after this is not here.", None)
CHECKSUM_MISMATCH = ErrorDetail("CHECKSUM_MISMATCH", "The file is not what its last line says that it is.", None)


class End(BaseModel):
    """The last line of an export: where it is, and the checksum in it, which is empty where something is wrong."""

    line: int
    position: int
    sha256: str


class Whole(BaseModel):
    """What an export says of itself: where its first line is, how many there are of a kind since, and its last one."""

    begin: int | None = None
    counts: dict[str, int] = Field(default_factory=dict)
    end: End | None = None


def note(whole: Whole, kind: str, line: Any, *, number: int, position: int) -> None:
    """Note a line, which may be broken."""
    if kind == "head":
        whole.begin, whole.counts, whole.end = position, {}, None
    elif kind == "end" and isinstance(line, ToldLine):
        whole.end = _end(whole, line.model_extra or {}, number=number, position=position)
    elif kind:
        whole.counts[kind] = whole.counts.get(kind, 0) + 1
        if whole.end is not None:
            # Nothing follows the last line.
            whole.end.sha256 = ""


def _end(whole: Whole, told: dict[str, Any], *, number: int, position: int) -> End:
    sha256 = told.get("sha256")
    is_right = whole.end is None and told.get("counts") == whole.counts
    return End(line=number, position=position, sha256=sha256[:64] if is_right and isinstance(sha256, str) else "")
