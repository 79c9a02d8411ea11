"""Deliveries on channels, what they go to, and what is recorded of them."""

from alembic import op

revision = "0012"
down_revision = "0010"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE notifications.delivery (
        id uuid CONSTRAINT pk_delivery PRIMARY KEY,
        notification_id uuid,
        digest_id uuid,
        event_id uuid,
        stream_id uuid,
        seq bigint,
        user_id uuid NOT NULL,
        channel varchar(16) NOT NULL,
        target_id uuid,
        collapse_key varchar(64),
        spacing_seconds integer NOT NULL,
        is_instant boolean NOT NULL,
        state varchar(16) NOT NULL,
        due_at timestamptz NOT NULL,
        attempts integer NOT NULL,
        claim integer NOT NULL,
        lease_until timestamptz,
        reason varchar(64),
        provider_id varchar(255),
        created_at timestamptz NOT NULL,
        settled_at timestamptz,
        CONSTRAINT uq_delivery_subject
            UNIQUE NULLS NOT DISTINCT (notification_id, digest_id, event_id, user_id, channel, target_id)
    )
    """,
    "CREATE INDEX ix_delivery_due ON notifications.delivery (channel, due_at, id) WHERE state = 'new'",
    "CREATE INDEX ix_delivery_target ON notifications.delivery (target_id, due_at, id) WHERE state = 'new'",
    "CREATE INDEX ix_delivery_collapse ON notifications.delivery (target_id, collapse_key, id)",
    "CREATE INDEX ix_delivery_settled_at ON notifications.delivery (settled_at) WHERE settled_at IS NOT NULL",
    """
    CREATE TABLE notifications.device (
        id uuid CONSTRAINT pk_device PRIMARY KEY,
        user_id uuid NOT NULL,
        kind varchar(16) NOT NULL,
        name varchar(100) NOT NULL,
        app varchar(100),
        address_hash bytea NOT NULL CONSTRAINT uq_device_address_hash UNIQUE,
        address_sealed text NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_device_user_id ON notifications.device (user_id)",
    """
    CREATE TABLE notifications.chat_connection (
        id uuid CONSTRAINT pk_chat_connection PRIMARY KEY,
        owner_id uuid NOT NULL,
        scope varchar(16) NOT NULL,
        workspace_id uuid,
        project_id uuid,
        name varchar(100) NOT NULL,
        kind varchar(16) NOT NULL,
        url_sealed text NOT NULL,
        host varchar(255) NOT NULL,
        kinds varchar(64)[],
        events varchar(100)[],
        enabled boolean NOT NULL,
        disabled_reason varchar(64),
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_chat_connection_owner_id ON notifications.chat_connection (owner_id)",
    "CREATE INDEX ix_chat_connection_workspace_id ON notifications.chat_connection (workspace_id)",
    """
    CREATE TABLE notifications.recorded_message (
        id uuid CONSTRAINT pk_recorded_message PRIMARY KEY,
        user_id uuid NOT NULL,
        channel varchar(16) NOT NULL,
        notification_id uuid,
        digest_id uuid,
        target_id uuid,
        content jsonb NOT NULL,
        recorded_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_recorded_message_user_id ON notifications.recorded_message (user_id, recorded_at, id)",
    "CREATE INDEX ix_recorded_message_recorded_at ON notifications.recorded_message (recorded_at)",
)
TABLES = ("recorded_message", "chat_connection", "device", "delivery")


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE notifications.{table}")
