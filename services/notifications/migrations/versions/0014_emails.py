"""Addresses that are refused, and what digests there were."""

from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE notifications.email_channel (
        user_id uuid CONSTRAINT pk_email_channel PRIMARY KEY,
        address varchar(320) NOT NULL,
        reason varchar(64) NOT NULL,
        disabled_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE notifications.digest_slot (
        id uuid CONSTRAINT pk_digest_slot PRIMARY KEY,
        user_id uuid NOT NULL,
        period_key varchar(16) NOT NULL,
        notification_ids uuid[] NOT NULL,
        rest integer NOT NULL,
        until_seq bigint NOT NULL,
        due_at timestamptz NOT NULL,
        made_at timestamptz NOT NULL,
        CONSTRAINT uq_digest_slot_user_id_period_key UNIQUE (user_id, period_key)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE notifications.digest_slot")
    op.execute("DROP TABLE notifications.email_channel")
