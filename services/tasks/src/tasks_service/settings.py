"""Everything the tasks service reads from the environment."""

from dataclasses import dataclass

from chassis.settings import (
    BrokerSettings,
    CursorSettings,
    DatabaseSettings,
    IdentityVerificationSettings,
    MailSealingSettings,
    ProcessSettings,
    SettingsGroup,
    load_settings,
)
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from tasks_service.projects.rules import ProjectLimits
from tasks_service.searching.rules import MOST_RANKED

PREFIX = "TASKS_"
MIB = 1024 * 1024
MAX_IMPORT_BYTES = 1024 * MIB
"""The largest file that any installation takes in."""


class TasksSettings(SettingsGroup):
    """The service's own settings."""

    model_config = SettingsConfigDict(env_prefix=PREFIX)

    min_cursor_wait_ms: int = Field(
        default=500,
        ge=0,
        le=5000,
        description="How long a read with X-Min-Cursor waits for the data to be that new, in milliseconds.",
    )
    exact_count_up_to: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="How many tasks are counted one by one for the total of a list; of more it is an estimate.",
    )
    kept_pages_mib: int = Field(
        default=32,
        ge=0,
        le=4096,
        description=(
            "How much memory of each process that answers requests pages of lists may take, which are told again while "
            "nothing has changed, in MiB; 0 keeps none."
        ),
    )
    search_ranked_up_to: int = Field(
        default=MOST_RANKED,
        ge=1,
        le=10_000,
        description=(
            "Of about how many tasks that fit what is searched for, the newest, it is said how well they do; of words "
            "that more have, the others come after these."
        ),
    )
    aggregate_exact_up_to: int = Field(
        default=200_000,
        ge=1,
        le=10_000_000,
        description=(
            "How many tasks are looked at for counts in groups, or ten times as many where an index tells all that is "
            "counted by; of more, the counts are estimates."
        ),
    )
    max_projects: int = Field(default=1000, ge=1, le=10_000, description="How many projects a workspace may have.")
    max_project_members: int = Field(
        default=500, ge=1, le=5000, description="How many members of its own a project may have."
    )
    max_statuses: int = Field(default=50, ge=1, le=100, description="How many statuses a project may have.")
    task_trash_days: int = Field(
        default=30, ge=1, le=365, description="How long a task stays in the trash before it is purged, in days."
    )
    project_trash_days: int = Field(
        default=30, ge=1, le=365, description="How long a project stays in the trash before it is purged, in days."
    )
    workspace_kept_days: int = Field(
        default=30, ge=1, le=365, description="How long a deleted workspace is kept before it is purged, in days."
    )
    feed_days: int = Field(
        default=30,
        ge=1,
        le=365,
        description="From how old a position the feed of changes goes on, in days; from an older one it is 410.",
    )
    undo_minutes: int = Field(
        default=15, ge=1, le=1440, description="How long a request can be undone after it, in minutes."
    )
    undo_max_changes: int = Field(
        default=2000, ge=100, le=5000, description="How many changes a request may have made to be undone."
    )
    bulk_max_atomic: int = Field(
        default=500,
        ge=200,
        le=2000,
        description="How many operations are done in one transaction at most, where all or nothing is asked for.",
    )
    job_lease_seconds: int = Field(
        default=60,
        ge=1,
        le=600,
        description="How long a worker holds a job without getting on before others take it, in seconds.",
    )
    job_slots: int = Field(default=2, ge=1, le=8, description="How many jobs a worker does at once.")
    job_step: int = Field(
        default=25, ge=1, le=200, description="How many operations of a job are done in a transaction."
    )
    job_step_seconds: float = Field(
        default=0.5,
        ge=0,
        le=5,
        description="How long a transaction of a job begins further operations, in seconds; what it has locked, others"
        " wait for.",
    )
    job_kept_days: int = Field(
        default=7, ge=1, le=90, description="How long a job is kept after its end, in days, with its results."
    )
    import_max_bytes: int = Field(
        default=100 * MIB,
        ge=1024,
        le=MAX_IMPORT_BYTES,
        description="The largest file that an import takes, in bytes; the gateway has a limit of its own.",
    )
    invitation_days: int = Field(
        default=7, ge=1, le=90, description="How long an invitation to a workspace counts, in days."
    )


@dataclass(frozen=True)
class Settings:
    """All groups of this service."""

    process: ProcessSettings
    database: DatabaseSettings
    broker: BrokerSettings
    identity: IdentityVerificationSettings
    cursors: CursorSettings
    mail_sealing: MailSealingSettings
    tasks: TasksSettings


def load() -> Settings:
    """Read the settings. Raises SettingsError with everything that is wrong."""
    return load_settings(Settings, prefix=PREFIX)


def project_limits(settings: Settings) -> ProjectLimits:
    """Return how much there may be of everything."""
    tasks = settings.tasks
    return ProjectLimits(projects=tasks.max_projects, members=tasks.max_project_members, statuses=tasks.max_statuses)
