"""Who sees the task of a file: private projects, roles in projects, and shares of tasks.

The projects of tasks that are known are open to their workspaces: none could be private before this.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE attachments.project_place (
        project_id uuid CONSTRAINT pk_project_place PRIMARY KEY,
        workspace_id uuid NOT NULL,
        is_private boolean NOT NULL,
        member_role varchar(16) NOT NULL,
        is_archived boolean NOT NULL,
        changed_seq bigint NOT NULL,
        deleted boolean NOT NULL
    )
    """,
    "CREATE INDEX ix_project_place_workspace_id ON attachments.project_place (workspace_id)",
    """
    CREATE TABLE attachments.project_member (
        project_id uuid NOT NULL,
        user_id uuid NOT NULL,
        role varchar(16) NOT NULL,
        changed_seq bigint NOT NULL,
        removed boolean NOT NULL,
        CONSTRAINT pk_project_member PRIMARY KEY (project_id, user_id)
    )
    """,
    """
    CREATE TABLE attachments.task_share (
        task_id uuid NOT NULL,
        user_id uuid NOT NULL,
        role varchar(16) NOT NULL,
        changed_seq bigint NOT NULL,
        removed boolean NOT NULL,
        CONSTRAINT pk_task_share PRIMARY KEY (task_id, user_id)
    )
    """,
    """
    CREATE TABLE attachments.ended_workspace (
        workspace_id uuid CONSTRAINT pk_ended_workspace PRIMARY KEY,
        ended_at timestamptz NOT NULL
    )
    """,
    """
    INSERT INTO attachments.project_place
    SELECT DISTINCT project_id, workspace_id, false, 'editor', false, 0, false
    FROM attachments.task_location WHERE project_id IS NOT NULL
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("ended_workspace", "task_share", "project_member", "project_place"):
        op.execute(f"DROP TABLE attachments.{table}")
