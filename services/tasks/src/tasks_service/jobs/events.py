"""Facts about jobs, which are for those alone who started them."""

from typing import Any

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import ChangeDraft, differences
from tasks_service.jobs.schemas import JobOut

JOB_CREATED = "job.created.v1"
JOB_UPDATED = "job.updated.v1"


def job_created(row: RowMapping) -> ChangeDraft:
    """Draft a job that waits for a worker."""
    return _draft(JOB_CREATED, None, row)


def job_updated(before: RowMapping, after: RowMapping) -> ChangeDraft:
    """Draft the progress of a job, or its end."""
    return _draft(JOB_UPDATED, JobOut.of(before).model_dump(mode="json"), after)


def _draft(event_type: str, before: dict[str, Any] | None, row: RowMapping) -> ChangeDraft:
    resource = JobOut.of(row).model_dump(mode="json")
    return ChangeDraft(
        event_type,
        "job",
        row["id"],
        row["version"],
        differences(before, resource),
        resource,
        audience=frozenset({row["created_by"]}),
    )
