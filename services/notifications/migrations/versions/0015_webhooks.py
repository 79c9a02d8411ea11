"""Webhooks, what is on its way to them, and the roles that people have in projects."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

STATEMENTS = (
    # Roles that were given before are known from their next change on.
    "ALTER TABLE notifications.project_member ADD COLUMN role varchar(16)",
    """
    CREATE TABLE notifications.webhook (
        id uuid CONSTRAINT pk_webhook PRIMARY KEY,
        owner_id uuid NOT NULL,
        scope_type varchar(16) NOT NULL,
        scope_id uuid NOT NULL,
        workspace_id uuid,
        name varchar(100) NOT NULL,
        url varchar(2000) NOT NULL,
        events varchar(100)[] NOT NULL,
        project_ids uuid[] NOT NULL,
        changed_fields varchar(100)[] NOT NULL,
        filter jsonb,
        payload varchar(8) NOT NULL,
        enabled boolean NOT NULL,
        disabled_reason varchar(16),
        failing_since timestamptz,
        secret_sealed text NOT NULL,
        old_secret_sealed text,
        old_secret_until timestamptz,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        deleted_at timestamptz
    )
    """,
    "CREATE INDEX ix_webhook_workspace_id ON notifications.webhook (workspace_id) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_webhook_owner_id ON notifications.webhook (owner_id) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_webhook_deleted_at ON notifications.webhook (deleted_at) WHERE deleted_at IS NOT NULL",
    # A delivery changes with each attempt: room for its next state on the same page.
    """
    CREATE TABLE notifications.webhook_delivery (
        id uuid CONSTRAINT pk_webhook_delivery PRIMARY KEY,
        webhook_id uuid NOT NULL
            CONSTRAINT fk_webhook_delivery_webhook_id_webhook REFERENCES notifications.webhook (id),
        event_id uuid NOT NULL,
        event_type varchar(100) NOT NULL,
        stream_id uuid,
        seq bigint,
        kind varchar(8) NOT NULL,
        state varchar(16) NOT NULL,
        attempts integer NOT NULL,
        attempts_before integer NOT NULL,
        next_attempt_at timestamptz NOT NULL,
        claim integer NOT NULL,
        lease_until timestamptz,
        status integer,
        reason varchar(32),
        created_at timestamptz NOT NULL,
        settled_at timestamptz
    ) WITH (fillfactor = 80)
    """,
    "CREATE INDEX ix_webhook_delivery_webhook_id_id ON notifications.webhook_delivery (webhook_id, id)",
    """
    CREATE INDEX ix_webhook_delivery_waiting ON notifications.webhook_delivery (webhook_id, next_attempt_at)
        WHERE state = 'pending'
    """,
    """
    CREATE INDEX ix_webhook_delivery_leased ON notifications.webhook_delivery (webhook_id)
        WHERE lease_until IS NOT NULL
    """,
    """
    CREATE UNIQUE INDEX uq_webhook_delivery_event ON notifications.webhook_delivery (webhook_id, event_id)
        WHERE kind = 'event'
    """,
    """
    CREATE UNIQUE INDEX uq_webhook_delivery_replay ON notifications.webhook_delivery (webhook_id, event_id)
        WHERE kind = 'replay' AND state = 'pending'
    """,
    "CREATE INDEX ix_webhook_delivery_created_at ON notifications.webhook_delivery (created_at)",
    """
    CREATE TABLE notifications.webhook_attempt (
        delivery_id uuid NOT NULL
            CONSTRAINT fk_webhook_attempt_delivery_id_webhook_delivery
            REFERENCES notifications.webhook_delivery (id) ON DELETE CASCADE,
        number integer NOT NULL,
        at timestamptz NOT NULL,
        ms integer NOT NULL,
        status integer,
        reason varchar(32),
        excerpt varchar(1024),
        CONSTRAINT pk_webhook_attempt PRIMARY KEY (delivery_id, number)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("webhook_attempt", "webhook_delivery", "webhook"):
        op.execute(f"DROP TABLE notifications.{table}")
    op.execute("ALTER TABLE notifications.project_member DROP COLUMN role")
