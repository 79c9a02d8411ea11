"""The process that takes in events, and does jobs."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from chassis.broker.consumer import Consumer
from chassis.db.engine import Database

from tasks_service.attachments.consumers import on_attachment
from tasks_service.bulk.jobs import bulk_kind
from tasks_service.db import ROW_SECURITY
from tasks_service.directory.consumers import on_person
from tasks_service.ended_credentials.consumers import on_end_of_credential
from tasks_service.exports.service import write_step
from tasks_service.imports.service import take_step
from tasks_service.jobs.jobs import JobWorker, WorkTerms
from tasks_service.jobs.schemas import JobKind
from tasks_service.service_accounts.consumers import on_service_account
from tasks_service.settings import Settings, project_limits
from tasks_service.workspaces.consumers import on_user_registered

CONSUMERS: tuple[Consumer, ...] = (
    on_user_registered,
    on_service_account,
    on_person,
    on_attachment,
    on_end_of_credential,
)


def job_kinds(settings: Settings) -> Mapping[str, JobKind]:
    """Return how jobs are done, by their kinds."""
    bulk = bulk_kind(settings.tasks.job_step, seconds=settings.tasks.job_step_seconds)
    return {
        "bulk": bulk,
        "bulk_by_filter": bulk,
        "export": JobKind(write_step),
        "import": JobKind(partial(take_step, limits=project_limits(settings))),
    }


def job_worker(settings: Settings, database: Database) -> JobWorker:
    """Return what does the jobs."""
    terms = WorkTerms(timedelta(seconds=settings.tasks.job_lease_seconds), settings.tasks.job_slots)
    return JobWorker(database, ROW_SECURITY, job_kinds(settings), terms)
