"""The process of periodic work."""

from datetime import timedelta

from chassis import idempotency
from chassis.background import Job
from chassis.clock import utcnow
from chassis.db.base import table_of
from chassis.inbox import claiming
from chassis.outbox import purging
from sqlalchemy.ext.asyncio import AsyncSession

from tasks_service.db import IdempotencyKey, Inbox, Outbox
from tasks_service.ended_credentials import repository as ended_credentials
from tasks_service.file_parts import repository as file_parts
from tasks_service.import_sources import repository as import_sources
from tasks_service.invitations.jobs import purge_invitations
from tasks_service.jobs.jobs import purge_jobs
from tasks_service.project_lifecycle.service import purge_project
from tasks_service.settings import Settings
from tasks_service.trash.service import purge_expired
from tasks_service.workspace_purging.service import purge_workspace

MINUTE, HOUR = 60.0, 3600.0
ONE_DAY = timedelta(days=1)
"""Longer than a job takes: its file was begun before its end, from which it is kept."""
ENDS_KEPT = timedelta(days=30)
"""Longer than a job waits for workers: what was started by a credential that ended before is over."""


async def purge_idempotency_keys(session: AsyncSession) -> bool:
    return await idempotency.purge(session, table_of(IdempotencyKey))


async def purge_inbox(session: AsyncSession) -> bool:
    return await claiming.purge(session, table_of(Inbox))


async def purge_outbox(session: AsyncSession) -> bool:
    return await purging.purge(session, table_of(Outbox))


async def purge_ended_credentials(session: AsyncSession) -> bool:
    return await ended_credentials.purge(session, before=utcnow() - ENDS_KEPT)


JOBS = (
    Job("purge-idempotency-keys", HOUR, purge_idempotency_keys),
    Job("purge-inbox", HOUR, purge_inbox),
    Job("purge-outbox", HOUR, purge_outbox),
    Job("purge-invitations", HOUR, purge_invitations),
    Job("purge-ended-credentials", HOUR, purge_ended_credentials),
)


def jobs(settings: Settings) -> tuple[Job, ...]:
    """Return the jobs of the service."""
    trash_kept = timedelta(days=settings.tasks.project_trash_days)
    workspaces_kept = timedelta(days=settings.tasks.workspace_kept_days)
    tasks_kept = timedelta(days=settings.tasks.task_trash_days)
    jobs_kept = timedelta(days=settings.tasks.job_kept_days)

    async def purge_ended_jobs(session: AsyncSession) -> bool:
        return await purge_jobs(session, ended_before=utcnow() - jobs_kept)

    async def purge_files(session: AsyncSession) -> bool:
        more = await import_sources.purge(session)
        return await file_parts.purge(session, before=utcnow() - jobs_kept - ONE_DAY) or more

    async def purge_projects(session: AsyncSession) -> bool:
        return await purge_project(session, deleted_before=utcnow() - trash_kept)

    async def purge_trash(session: AsyncSession) -> bool:
        return await purge_expired(session, deleted_before=utcnow() - tasks_kept)

    async def purge_workspaces(session: AsyncSession) -> bool:
        return await purge_workspace(session, deleted_before=utcnow() - workspaces_kept)

    return (
        *JOBS,
        Job("purge-jobs", HOUR, purge_ended_jobs),
        Job("purge-files", 5 * MINUTE, purge_files),
        Job("purge-projects", 5 * MINUTE, purge_projects),
        Job("purge-trash", HOUR, purge_trash),
        Job("purge-workspaces", HOUR, purge_workspaces),
    )
