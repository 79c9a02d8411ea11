"""Attachments, the projection of tasks and memberships, outbox, inbox and idempotency keys."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE attachments.attachment (
        id uuid CONSTRAINT pk_attachment PRIMARY KEY,
        task_id uuid NOT NULL,
        workspace_id uuid NOT NULL,
        name varchar(255) NOT NULL,
        size bigint NOT NULL,
        sha256 varchar(64) NOT NULL,
        content_type varchar(127) NOT NULL,
        created_by uuid NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_attachment_task_id ON attachments.attachment (task_id, id)",
    """
    CREATE TABLE attachments.task_location (
        task_id uuid CONSTRAINT pk_task_location PRIMARY KEY,
        workspace_id uuid NOT NULL,
        changed_seq bigint NOT NULL,
        deleted boolean NOT NULL
    )
    """,
    """
    CREATE TABLE attachments.membership (
        workspace_id uuid NOT NULL,
        user_id uuid NOT NULL,
        role varchar(16) NOT NULL,
        changed_seq bigint NOT NULL,
        removed boolean NOT NULL,
        CONSTRAINT pk_membership PRIMARY KEY (workspace_id, user_id)
    )
    """,
    "CREATE INDEX ix_membership_user_id ON attachments.membership (user_id)",
    """
    CREATE TABLE attachments.outbox (
        event_id uuid CONSTRAINT pk_outbox PRIMARY KEY,
        type varchar(100) NOT NULL,
        occurred_at timestamptz NOT NULL,
        stream_id uuid NOT NULL,
        sequence bigint NOT NULL,
        subject uuid NOT NULL,
        data jsonb NOT NULL,
        traceparent varchar(64),
        state varchar(8) NOT NULL DEFAULT 'new',
        attempts smallint NOT NULL DEFAULT 0,
        available_at timestamptz,
        sent_at timestamptz
    )
    """,
    "CREATE INDEX ix_outbox_unsent ON attachments.outbox (stream_id, sequence) WHERE state = 'new'",
    """
    CREATE TABLE attachments.idempotency_key (
        caller_id uuid NOT NULL,
        key varchar(255) NOT NULL,
        fingerprint bytea NOT NULL,
        status smallint NOT NULL,
        headers jsonb NOT NULL,
        body bytea NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_idempotency_key PRIMARY KEY (caller_id, key)
    )
    """,
    "CREATE INDEX ix_idempotency_key_created_at ON attachments.idempotency_key (created_at)",
    """
    CREATE TABLE attachments.inbox (
        consumer varchar(100) NOT NULL,
        event_id uuid NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_inbox PRIMARY KEY (consumer, event_id)
    )
    """,
    "CREATE INDEX ix_inbox_received_at ON attachments.inbox (received_at)",
)

TABLES = ("inbox", "idempotency_key", "outbox", "membership", "task_location", "attachment")


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE attachments.{table}")
