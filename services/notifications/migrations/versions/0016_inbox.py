"""Notifications, and what is known of the tasks, comments and places that they tell of."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE notifications.task_card (
        task_id uuid CONSTRAINT pk_task_card PRIMARY KEY,
        workspace_id uuid NOT NULL,
        project_id uuid NOT NULL,
        version integer NOT NULL,
        seq bigint NOT NULL,
        data jsonb NOT NULL
    )
    """,
    """
    CREATE TABLE notifications.watcher (
        task_id uuid NOT NULL,
        user_id uuid NOT NULL,
        is_watching boolean NOT NULL,
        is_muted boolean NOT NULL,
        CONSTRAINT pk_watcher PRIMARY KEY (task_id, user_id)
    )
    """,
    """
    CREATE TABLE notifications.comment_card (
        comment_id uuid CONSTRAINT pk_comment_card PRIMARY KEY,
        task_id uuid NOT NULL,
        author_id uuid NOT NULL,
        excerpt varchar(200)
    )
    """,
    "CREATE INDEX ix_comment_card_task_id ON notifications.comment_card (task_id)",
    """
    CREATE TABLE notifications.place_card (
        place_id uuid CONSTRAINT pk_place_card PRIMARY KEY,
        name varchar(200) NOT NULL,
        is_deleted boolean NOT NULL
    )
    """,
    """
    CREATE TABLE notifications.notification (
        id uuid CONSTRAINT pk_notification PRIMARY KEY,
        user_id uuid NOT NULL,
        seq bigint NOT NULL,
        kind varchar(32) NOT NULL,
        event_id uuid NOT NULL,
        event_type varchar(100) NOT NULL,
        workspace_id uuid,
        project_id uuid,
        task_id uuid,
        comment_id uuid,
        actor jsonb,
        details jsonb NOT NULL,
        in_digest boolean NOT NULL,
        read_at timestamptz,
        archived_at timestamptz,
        created_at timestamptz NOT NULL,
        CONSTRAINT uq_notification_user_id_event_id UNIQUE (user_id, event_id)
    )
    """,
    "CREATE INDEX ix_notification_user_id_seq ON notifications.notification (user_id, seq)",
    """
    CREATE INDEX ix_notification_unread ON notifications.notification (user_id, seq)
    WHERE read_at IS NULL AND archived_at IS NULL
    """,
    """
    CREATE INDEX ix_notification_task_id ON notifications.notification (task_id, user_id)
    WHERE task_id IS NOT NULL
    """,
    "CREATE INDEX ix_notification_created_at ON notifications.notification (created_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("notification", "place_card", "comment_card", "watcher", "task_card"):
        op.execute(f"DROP TABLE notifications.{table}")
