"""The API process of the tasks service."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from chassis.cursors import CursorSigner
from chassis.db.base import table_of
from chassis.db.engine import Database, open_database
from chassis.db.migrations import current_schema_check
from chassis.process import run_process
from chassis.tokens import IdentityVerifier
from chassis.web.app import create_app as create_service_app
from chassis.web.health import Health
from chassis.web.identity import IdentityCache
from chassis.web.repeating import answer_repeatedly
from fastapi import FastAPI

from tasks_service import settings as settings_module
from tasks_service.assignments import endpoints as assignments
from tasks_service.bulk import endpoints as bulk
from tasks_service.bulk_by_filter import endpoints as bulk_by_filter
from tasks_service.categories import endpoints as categories
from tasks_service.checklists import endpoints as checklists
from tasks_service.comments import endpoints as comments
from tasks_service.counting import endpoints as counting
from tasks_service.db import ROOT, ROW_SECURITY, SCHEMA, IdempotencyKey
from tasks_service.directory import endpoints as directory
from tasks_service.duplicating import endpoints as duplicating
from tasks_service.exports import endpoints as exports
from tasks_service.exports.rules import ExportTerms
from tasks_service.external_ids import endpoints as external_ids
from tasks_service.feed import endpoints as feed
from tasks_service.fields import endpoints as fields
from tasks_service.finding import endpoints as finding
from tasks_service.history import endpoints as history
from tasks_service.imports import endpoints as imports
from tasks_service.imports.rules import CHECKSUM_MISMATCH, FILE_CUT
from tasks_service.invitations import endpoints as invitations
from tasks_service.invitations.service import InvitationTerms
from tasks_service.jobs import endpoints as jobs
from tasks_service.kept_pages.access import standings_together
from tasks_service.kept_pages.service import KeptPages
from tasks_service.labels import endpoints as labels
from tasks_service.listing import endpoints as listing
from tasks_service.members import endpoints as members
from tasks_service.metadata import endpoints as metadata
from tasks_service.moving import endpoints as moving
from tasks_service.permissions import endpoints as permissions
from tasks_service.permissions.rules import RULES
from tasks_service.permissions.service import sees_shown
from tasks_service.positions import endpoints as positions
from tasks_service.project_lifecycle import endpoints as project_lifecycle
from tasks_service.project_members import endpoints as project_members
from tasks_service.projects import endpoints as projects
from tasks_service.reactions import endpoints as reactions
from tasks_service.registry import EVENTS
from tasks_service.relations import endpoints as relations
from tasks_service.reverting import endpoints as reverting
from tasks_service.saved_filters import endpoints as saved_filters
from tasks_service.settings import MIB, Settings, project_limits
from tasks_service.shares import endpoints as shares
from tasks_service.snapshots import endpoints as snapshots
from tasks_service.stars import endpoints as stars
from tasks_service.status_changes import endpoints as status_changes
from tasks_service.syncing import endpoints as syncing
from tasks_service.tasks import endpoints as tasks
from tasks_service.tasks.access import tasks_together
from tasks_service.totals.service import KeptEstimates, KeptTotals
from tasks_service.trash import endpoints as trash
from tasks_service.undoing import endpoints as undoing
from tasks_service.undoing.service import Reach
from tasks_service.watchers import endpoints as watchers
from tasks_service.workspaces import endpoints as workspaces

ROUTERS = (
    # Before tasks, whose paths have an id where these have a word.
    external_ids.router,
    bulk.router,
    bulk_by_filter.router,
    listing.router,
    counting.router,
    tasks.router,
    assignments.router,
    watchers.router,
    watchers.own,
    stars.router,
    stars.own,
    shares.router,
    shares.own,
    positions.router,
    moving.router,
    duplicating.router,
    trash.of_task,
    trash.router,
    comments.router,
    reactions.router,
    checklists.router,
    projects.router,
    categories.router,
    project_lifecycle.router,
    project_members.router,
    status_changes.router,
    labels.router,
    labels.of_tasks,
    saved_filters.router,
    relations.router,
    metadata.router,
    workspaces.router,
    history.of_task,
    reverting.router,
    undoing.router,
    history.of_workspace,
    directory.router,
    finding.router,
    feed.router,
    syncing.router,
    snapshots.router,
    members.router,
    invitations.router,
    invitations.mine,
    jobs.router,
    exports.router,
    imports.router,
    permissions.router,
    permissions.meta,
    fields.router,
    tasks.internal,
    projects.internal,
    workspaces.internal,
)
FIELD_CODES = {
    "PERSONAL_HAS_NO_WORKSPACE": "What is personal is of no workspace.",
    "TWO_PLACES": "Give either after_id or before_id.",
    "REASSIGN_OR_UNASSIGN": "Exactly one of reassign_to and unassign is given.",
    "PRIMARY_NOT_ASSIGNED": "`assigned_to` is one of `assignees`.",
    "ONE_NEIGHBOR": "Give exactly one of after_id and before_id.",
    "EXTERNAL_ID_INCOMPLETE": "Give external_source and external_id, or neither.",
    "INVALID_DUE": "A due has exactly one of date, at and local.",
    "DUPLICATE_PROJECT": "Name each project once.",
    "ACTION_OF_ANOTHER_TYPE": "This action is of another type of resource.",
    # Of single lines of an import, in the results of its job.
    "UNKNOWN_REFERENCE": "The line names what is neither in the file nor known from it.",
    "NOT_A_MEMBER": "This one is no member of the workspace, and is left out.",
    "NOT_YOURS": "This is somebody else's own, and is left out.",
    "PERSONAL_ELSEWHERE": "What is personal goes only into a personal workspace.",
    "WATCHER_NO_ACCESS": "This one can't see the task, and is left out.",
    "MALFORMED_ROW": "This row is no CSV in UTF-8, or has more cells than there are columns.",
    "NOT_ACCEPTED": "This can't be kept as it is.",
    **{one.code: one.message for one in (FILE_CUT, CHECKSUM_MISMATCH)},
}
TITLE = "Taskloom tasks"


def create_app(settings: Settings, *, database: Database, health: Health) -> FastAPI:
    """Make the app with everything that its requests need."""
    return create_service_app(
        title=TITLE,
        routers=ROUTERS,
        field_codes=FIELD_CODES,
        actions=RULES,
        events=EVENTS,
        shortcuts=(tasks.SHORTCUT, tasks.CREATE_SHORTCUT, tasks.CHANGE_SHORTCUT, listing.SHORTCUT),
        health=health,
        state={
            "database": database,
            "identities": IdentityCache(IdentityVerifier(settings.identity.verify_key.get_secret_value())),
            "idempotency_table": table_of(IdempotencyKey),
            "row_security": ROW_SECURITY,
            "answers_by": answer_repeatedly,
            "sees_workspaces": sees_shown,
            "project_limits": project_limits(settings),
            "export_terms": ExportTerms.of(
                settings.cursors.secret.get_secret_value(), timedelta(days=settings.tasks.job_kept_days)
            ),
            "max_import_bytes": settings.tasks.import_max_bytes,
            "cursors": CursorSigner(settings.cursors.secret.get_secret_value()),
            "invitations": InvitationTerms(
                timedelta(days=settings.tasks.invitation_days), settings.mail_sealing.ring()
            ),
            "feed_kept": timedelta(days=settings.tasks.feed_days),
            "bulk_max_atomic": settings.tasks.bulk_max_atomic,
            "undo_reach": Reach(timedelta(minutes=settings.tasks.undo_minutes), settings.tasks.undo_max_changes),
            "exact_aggregate_up_to": settings.tasks.aggregate_exact_up_to,
            "exact_count_up_to": settings.tasks.exact_count_up_to,
            "estimates": KeptEstimates(),
            "standings_together": standings_together(database),
            "tasks_together": tasks_together(database),
            "totals": KeptTotals(),
            "pages": KeptPages(settings.tasks.kept_pages_mib * MIB),
            "ranked_up_to": settings.tasks.search_ranked_up_to,
            "min_cursor_wait_seconds": settings.tasks.min_cursor_wait_ms / 1000,
        },
    )


@cache
def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document, which needs no settings."""
    return create_service_app(
        title=TITLE, routers=ROUTERS, field_codes=FIELD_CODES, health=Health(), state={}
    ).openapi()


def run_api(_arguments: Sequence[str]) -> int:
    """Serve the API until told to stop."""
    settings = settings_module.load()
    database = open_database(settings.database, application_name="tasks-api")
    schema = current_schema_check(database, schema=SCHEMA, root=ROOT)
    health = Health(required={"database": schema}, reported=database.reported)
    app = create_app(settings, database=database, health=health)
    return run_process(
        service="tasks",
        settings=settings.process,
        health=health,
        app=app,
        work=[database.watch_replica],
        closing=[database.close],
    )
