"""Mails to send, and what became of them."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE notifications.mail_delivery (
        id uuid CONSTRAINT pk_mail_delivery PRIMARY KEY,
        user_id uuid NOT NULL,
        kind varchar(64) NOT NULL,
        recipient varchar(320) NOT NULL,
        display_name varchar(200) NOT NULL,
        locale varchar(35),
        timezone varchar(64) NOT NULL,
        token_sealed text,
        expires_at timestamptz,
        details jsonb NOT NULL,
        requested_at timestamptz NOT NULL,
        state varchar(16) NOT NULL,
        attempts integer NOT NULL,
        claim integer NOT NULL,
        next_attempt_at timestamptz NOT NULL,
        lease_until timestamptz,
        reason varchar(64),
        settled_at timestamptz
    )
    """,
    """
    CREATE INDEX ix_mail_delivery_next_attempt_at ON notifications.mail_delivery (next_attempt_at)
    WHERE state = 'waiting'
    """,
    """
    CREATE INDEX ix_mail_delivery_settled_at ON notifications.mail_delivery (settled_at)
    WHERE settled_at IS NOT NULL
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE notifications.mail_delivery")
