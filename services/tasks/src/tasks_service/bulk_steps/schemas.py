"""Operations in progress, and what became of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chassis.errors import AppError
from chassis.identity import Principal
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.bulk_locks.schemas import Found
from tasks_service.changes.schemas import FieldChange


@dataclass(slots=True)
class Progress:
    """What operations before have left for those after them: tasks by temporary id, and the indexes of what failed."""

    temp_ids: dict[str, UUID] = field(default_factory=dict)
    failed_temp_ids: set[str] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Batch:
    """Operations of one caller in one transaction: what is locked of what they name, and how far they are."""

    session: AsyncSession
    actor: Principal
    found: Found
    progress: Progress


@dataclass(frozen=True, slots=True)
class Done:
    """What an operation made of a task: the row as it is then, with the status that its single request answers.

    `is_whole` rows have all that the next operation on the task needs to know.
    """

    row: RowMapping
    status: int = 200
    warnings: Sequence[Mapping[str, Any]] = ()
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an operation; `task` is what it is about, as far as the caller sees it."""

    index: int
    op: str
    task_id: UUID | None
    temp_id: str | None
    status: int
    version: int | None = None
    error: AppError | None = None
    changes: Sequence[FieldChange] = ()
    warnings: Sequence[Mapping[str, Any]] = ()
    about: Mapping[str, str] | None = None
