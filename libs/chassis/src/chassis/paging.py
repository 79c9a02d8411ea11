"""What part of a list is asked for; how it is read from a request is chassis.web.pagination's affair."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Paging:
    """`page` counts from 1. `cursor` is None in page mode, and empty at the beginning of a walk."""

    page: int
    per_page: int
    cursor: str | None

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.per_page


def page_meta(wanted: Paging, total: int) -> dict[str, Any]:
    """Return the `meta` of page mode."""
    return {"page": wanted.page, "per_page": wanted.per_page, "total": total}
