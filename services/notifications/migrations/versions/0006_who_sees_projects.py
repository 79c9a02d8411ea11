"""Private projects, roles in projects and shares of tasks, so that a replay shows what the reader sees now.

What was taken in before this was kept is of open projects and of members; the roles of the latter are in their events.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE notifications.membership ADD COLUMN role varchar(16) NOT NULL DEFAULT 'member'",
    """
    ALTER TABLE notifications.project_place
        ADD COLUMN is_private boolean NOT NULL DEFAULT false,
        ADD COLUMN changed_seq bigint NOT NULL DEFAULT 0
    """,
    """
    CREATE TABLE notifications.project_member (
        project_id uuid NOT NULL,
        user_id uuid NOT NULL,
        changed_seq bigint NOT NULL,
        removed boolean NOT NULL,
        CONSTRAINT pk_project_member PRIMARY KEY (project_id, user_id)
    )
    """,
    """
    CREATE TABLE notifications.task_share (
        task_id uuid NOT NULL,
        user_id uuid NOT NULL,
        changed_seq bigint NOT NULL,
        removed boolean NOT NULL,
        CONSTRAINT pk_task_share PRIMARY KEY (task_id, user_id)
    )
    """,
    """
    UPDATE notifications.membership AS one
    SET role = told.frame -> 'data' ->> 'role'
    FROM notifications.stream_event AS told
    WHERE told.workspace_id = one.workspace_id AND told.seq = one.changed_seq
      AND told.type IN ('member.added.v1', 'member.updated.v1') AND told.frame -> 'data' ->> 'role' IS NOT NULL
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for statement in (
        "DROP TABLE notifications.task_share",
        "DROP TABLE notifications.project_member",
        "ALTER TABLE notifications.project_place DROP COLUMN is_private, DROP COLUMN changed_seq",
        "ALTER TABLE notifications.membership DROP COLUMN role",
    ):
        op.execute(statement)
