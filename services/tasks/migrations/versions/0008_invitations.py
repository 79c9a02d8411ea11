"""Mails of invitations: an outbox for what is no change of a workspace, and how many mails an invitation has had."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "changing-column-type": "A longer varchar rewrites nothing, and looks at no row.",
}

STATEMENTS = (
    """
    CREATE TABLE tasks.outbox (
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
    "CREATE INDEX ix_outbox_unsent ON tasks.outbox (stream_id, sequence) WHERE state = 'new'",
    "CREATE INDEX ix_outbox_sent_at ON tasks.outbox (sent_at) WHERE sent_at IS NOT NULL",
    """
    ALTER TABLE tasks.invitation
        ADD COLUMN mails smallint NOT NULL DEFAULT 0,
        ADD COLUMN mailed_at timestamptz
    """,
    "ALTER TABLE tasks.person ALTER COLUMN avatar_url TYPE varchar(2048)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE tasks.invitation DROP COLUMN mails, DROP COLUMN mailed_at")
    op.execute("DROP TABLE tasks.outbox")
    op.execute("ALTER TABLE tasks.person ALTER COLUMN avatar_url TYPE varchar(2000) USING left(avatar_url, 2000)")
