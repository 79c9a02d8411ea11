from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.identity import Principal
from chassis.web.envelope import ErrorEntry
from pydantic import BaseModel, Field, TypeAdapter
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.jobs.rules import CANCELLED, FAILED, OPEN, PENDING, Kind, Outcome, Status

PRINCIPAL = TypeAdapter(Principal)


class JobError(BaseModel):
    """Why a job failed as a whole."""

    code: str = Field(description="Stable UPPER_SNAKE code; see GET /api/v1/meta/errors.")
    message: str
    errors: list[ErrorEntry] = Field(description="What is wrong, as the answer of a request tells it.")


class JobOut(BaseModel):
    """Work that goes on after the request that asked for it."""

    id: UUID
    kind: Kind = Field(description="What it does: changes of tasks, an export or an import.")
    workspace_id: UUID
    status: Status = Field(description="`succeeded` is at its end, though single operations may have failed.")
    total: int | None = Field(description="How many operations there are; null where that is not known yet.")
    done: int = Field(description="How many of them are through, those that failed among them.")
    failed: int = Field(description="How many of them failed; each says why in its results.")
    result_url: str | None = Field(description="Where what came of it is, once there is something.")
    error: JobError | None = Field(description="Why the whole of it failed.")
    cancelable: bool = Field(description="Whether it has not ended and nobody has cancelled it.")
    created_by: UUID
    version: int
    created_at: datetime
    started_at: datetime | None = Field(description="When a worker first took it; null while it waits.")
    finished_at: datetime | None = Field(description="When it came to its end, whichever; it is kept for some days.")

    @classmethod
    def of(cls, row: Mapping[str, Any] | RowMapping) -> "JobOut":
        """Make the resource of a row."""
        shown = {name: row[name] for name in cls.model_fields if name != "cancelable"}
        return cls(**shown, cancelable=row["status"] in OPEN and row["cancel_requested_at"] is None)


class JobItemError(BaseModel):
    """Why one operation failed."""

    code: str
    message: str
    field: str | None = Field(default=None, description="Dotted path of the field in the request, or null.")
    errors: list[ErrorEntry] | None = Field(
        default=None, description="All that is wrong, where that is more, or with what is allowed instead."
    )


class JobItemOut(BaseModel):
    """What became of one operation of a job, as the answer of a smaller request tells it."""

    index: int = Field(description="Its place in the request, from 0.")
    outcome: Outcome = Field(description="What became of it so far.")
    op: str | None = Field(default=None, description="What it is, as in the request.")
    id: UUID | None = Field(default=None, description="Of what it is about.")
    temp_id: str | None = None
    status: int | None = Field(default=None, description="The status that a request of its own would have had.")
    version: int | None = None
    line: int | None = Field(default=None, description="The line of the file that it is about.")
    kind: str | None = Field(default=None, description="What that line is of.")
    error: JobItemError | None = None
    warnings: list[dict[str, Any]] | None = Field(
        default=None, description="What could not be as it was asked for, or was left out."
    )
    changes: list[dict[str, Any]] | None = Field(
        default=None, description="Of a `dry_run` of changes: what would change of the task, by field, old and new."
    )

    @classmethod
    def of(cls, row: RowMapping, job: RowMapping) -> "JobItemOut":
        """Make the entry of a row; what a job that ended has not come to is cancelled."""
        shown = {**row["operation"], **(row["result"] or {})}
        is_left = row["outcome"] == PENDING and job["status"] in {CANCELLED, FAILED}
        known = {name: shown.get(name) for name in cls.model_fields if name not in {"index", "outcome"}}
        # What names a task in an operation may be its key, or what the request called it.
        known["id"] = known["id"] if _is_id(known["id"]) else None
        return cls(**known, index=row["index"], outcome=CANCELLED if is_left else row["outcome"])


def _is_id(value: object) -> bool:
    try:
        UUID(str(value))
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job that a worker has taken, as it is before a step."""

    id: UUID
    kind: str
    workspace_id: UUID
    actor: Principal
    parameters: Mapping[str, Any]
    state: Mapping[str, Any]
    total: int | None
    done: int
    failed: int
    fence: int

    @classmethod
    def of(cls, row: RowMapping) -> "RunningJob":
        """Make it of a row."""
        names = ("id", "kind", "workspace_id", "parameters", "state", "total", "done", "failed", "fence")
        return cls(**{name: row[name] for name in names}, actor=PRINCIPAL.validate_python(row["principal"]))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is after a step: numbers of the whole job; None leaves what there is."""

    done: int
    failed: int = 0
    total: int | None = None
    state: Mapping[str, Any] | None = None
    result_url: str | None = None
    is_finished: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """An operation that is still to be done."""

    index: int
    operation: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ItemResult:
    """What became of an operation; `told` has the fields of JobItemOut that there is something to say of."""

    index: int
    succeeded: bool
    told: Mapping[str, Any]


Step = Callable[[AsyncSession, RunningJob], Awaitable[Progress]]
"""Does some of a job, in a transaction that is the maker's and commits with the progress that it returns, or never.

An AppError that it raises fails the job, unless it is one of ours, which is tried again. It commits nothing and takes
at most a few seconds.
"""


@dataclass(frozen=True, slots=True)
class JobKind:
    """How jobs of a kind are done. With `is_whole` all of it is one step, which a cancellation meanwhile undoes."""

    step: Step
    is_whole: Callable[[RunningJob], bool] = lambda _job: False


JOB_EXAMPLE: dict[str, Any] = {
    "id": "0199d3b2-9c10-7a31-8d2e-4b6f8a1c3e57",
    "kind": "bulk",
    "workspace_id": "0199d3b2-6f10-7c11-9b5e-0f6f6a9d2c02",
    "status": "running",
    "total": 1000,
    "done": 250,
    "failed": 3,
    "result_url": "/api/v1/jobs/0199d3b2-9c10-7a31-8d2e-4b6f8a1c3e57/results",
    "error": None,
    "cancelable": True,
    "created_by": "0199d3b2-5e00-7b00-8c6f-2d7e4a8b1c03",
    "version": 11,
    "created_at": "2026-11-26T09:00:00Z",
    "started_at": "2026-11-26T09:00:00.200Z",
    "finished_at": None,
}
JOB_ITEM_EXAMPLE: dict[str, Any] = {
    "index": 17,
    "outcome": "failed",
    "op": "update",
    "id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
    "temp_id": None,
    "status": 404,
    "version": None,
    "line": None,
    "kind": None,
    "warnings": None,
    "changes": None,
    "error": {"code": "NOT_FOUND", "message": "There is nothing here that you can see.", "field": None, "errors": None},
}
