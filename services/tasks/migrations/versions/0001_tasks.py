"""Workspaces, members, projects, tasks, the change log, and the service's inbox and idempotency keys."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-timestamp-tz": "due_local is the wall clock's time, wherever the reader is.",
}

STATEMENTS = (
    """
    CREATE TABLE tasks.workspace (
        id uuid CONSTRAINT pk_workspace PRIMARY KEY,
        name varchar(200) NOT NULL,
        personal_owner_id uuid CONSTRAINT uq_workspace_personal_owner_id UNIQUE,
        created_by uuid NOT NULL,
        version integer NOT NULL CONSTRAINT ck_workspace_version CHECK (version >= 1),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE tasks.member (
        id uuid CONSTRAINT pk_member PRIMARY KEY,
        workspace_id uuid NOT NULL CONSTRAINT fk_member_workspace_id_workspace REFERENCES tasks.workspace (id),
        user_id uuid NOT NULL,
        role varchar(16) NOT NULL CONSTRAINT ck_member_role CHECK (role IN ('owner', 'admin', 'member', 'guest')),
        joined_seq bigint NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT uq_member_workspace_id_user_id UNIQUE (workspace_id, user_id)
    )
    """,
    "CREATE INDEX ix_member_user_id ON tasks.member (user_id, workspace_id)",
    """
    CREATE TABLE tasks.project (
        id uuid CONSTRAINT pk_project PRIMARY KEY,
        workspace_id uuid NOT NULL CONSTRAINT fk_project_workspace_id_workspace REFERENCES tasks.workspace (id),
        name varchar(200) NOT NULL,
        is_inbox boolean NOT NULL,
        created_by uuid NOT NULL,
        version integer NOT NULL CONSTRAINT ck_project_version CHECK (version >= 1),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_project_workspace_id ON tasks.project (workspace_id, id)",
    "CREATE UNIQUE INDEX uq_project_inbox ON tasks.project (workspace_id) WHERE is_inbox",
    """
    CREATE TABLE tasks.task (
        id uuid CONSTRAINT pk_task PRIMARY KEY,
        workspace_id uuid NOT NULL CONSTRAINT fk_task_workspace_id_workspace REFERENCES tasks.workspace (id),
        project_id uuid NOT NULL CONSTRAINT fk_task_project_id_project REFERENCES tasks.project (id),
        title varchar(500) NOT NULL,
        description text,
        status varchar(16) NOT NULL
            CONSTRAINT ck_task_status CHECK (status IN ('todo', 'in_progress', 'done', 'cancelled')),
        priority varchar(16) NOT NULL
            CONSTRAINT ck_task_priority CHECK (priority IN ('none', 'low', 'medium', 'high', 'urgent')),
        due_kind varchar(8),
        due_date date,
        due_at timestamptz,
        due_local timestamp,
        due_timezone varchar(64),
        completed_at timestamptz,
        completed_by uuid,
        created_by uuid NOT NULL,
        version integer NOT NULL CONSTRAINT ck_task_version CHECK (version >= 1),
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        deleted_at timestamptz,
        CONSTRAINT ck_task_completed CHECK ((status = 'done') = (completed_at IS NOT NULL)),
        CONSTRAINT ck_task_due CHECK (
            CASE due_kind
                WHEN 'date' THEN due_date IS NOT NULL AND due_local IS NULL AND due_at IS NULL
                WHEN 'at' THEN due_at IS NOT NULL AND due_local IS NOT NULL AND due_timezone IS NOT NULL
                WHEN 'local' THEN due_local IS NOT NULL AND due_at IS NULL AND due_timezone IS NULL
                ELSE due_date IS NULL AND due_at IS NULL AND due_local IS NULL
            END
        )
    )
    """,
    "CREATE INDEX ix_task_workspace_id ON tasks.task (workspace_id, id) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_task_project_id ON tasks.task (project_id, id) WHERE deleted_at IS NULL",
    """
    CREATE TABLE tasks.change_counter (
        workspace_id uuid CONSTRAINT pk_change_counter PRIMARY KEY
            CONSTRAINT fk_change_counter_workspace_id_workspace REFERENCES tasks.workspace (id),
        last_seq bigint NOT NULL
    )
    """,
    """
    CREATE TABLE tasks.change (
        workspace_id uuid NOT NULL CONSTRAINT fk_change_workspace_id_workspace REFERENCES tasks.workspace (id),
        seq bigint NOT NULL CONSTRAINT ck_change_seq CHECK (seq >= 1),
        event_id uuid NOT NULL CONSTRAINT uq_change_event_id UNIQUE,
        type varchar(100) NOT NULL,
        occurred_at timestamptz NOT NULL,
        entity_type varchar(32) NOT NULL,
        entity_id uuid NOT NULL,
        project_id uuid,
        version integer NOT NULL,
        actor jsonb NOT NULL,
        changes jsonb NOT NULL,
        resource jsonb NOT NULL,
        audience uuid[] NOT NULL,
        request_id varchar(64) NOT NULL,
        traceparent varchar(64),
        state varchar(8) NOT NULL DEFAULT 'new',
        attempts smallint NOT NULL DEFAULT 0,
        available_at timestamptz,
        sent_at timestamptz,
        CONSTRAINT pk_change PRIMARY KEY (workspace_id, seq)
    )
    """,
    "CREATE INDEX ix_change_entity_id ON tasks.change (entity_id, version)",
    "CREATE INDEX ix_change_unsent ON tasks.change (workspace_id, seq) WHERE state = 'new'",
    """
    CREATE TABLE tasks.inbox (
        consumer varchar(100) NOT NULL,
        event_id uuid NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_inbox PRIMARY KEY (consumer, event_id)
    )
    """,
    "CREATE INDEX ix_inbox_received_at ON tasks.inbox (received_at)",
    """
    CREATE TABLE tasks.idempotency_key (
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
    "CREATE INDEX ix_idempotency_key_created_at ON tasks.idempotency_key (created_at)",
)

TABLES = ("idempotency_key", "inbox", "change", "change_counter", "task", "project", "member", "workspace")


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE tasks.{table}")
