"""What a list of projects can be narrowed by."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ProjectFilter:
    """Of `parent_id`, `none` is for those that are in no other; with `archived` those are listed, too."""

    workspace_id: UUID | None = None
    parent_id: UUID | Literal["none"] | None = None
    archived: bool = False
