"""Who there is, and what they want to be told.

Accounts that are older than this are told of again by `auth-service tell-accounts`, once this is in place.
"""

from alembic import op

revision = "0011"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE notifications.person (
        user_id uuid CONSTRAINT pk_person PRIMARY KEY,
        kind varchar(16) NOT NULL,
        status varchar(16) NOT NULL,
        display_name varchar(200),
        email varchar(320),
        email_verified boolean NOT NULL,
        timezone varchar(64),
        locale varchar(35),
        version integer NOT NULL
    )
    """,
    """
    CREATE TABLE notifications.notification_preference (
        user_id uuid CONSTRAINT pk_notification_preference PRIMARY KEY,
        lines jsonb NOT NULL,
        quiet_hours jsonb,
        digest jsonb,
        digest_at timestamptz,
        version integer NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_notification_preference_digest_at ON notifications.notification_preference (digest_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE notifications.notification_preference")
    op.execute("DROP TABLE notifications.person")
