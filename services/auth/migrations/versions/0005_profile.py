"""More of the profile, and when an account is deleted for good."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "constraint-missing-not-valid": "Made before the first release: no account was there to be looked at.",
}


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE auth.account
            ADD COLUMN avatar_url varchar(2048),
            ADD COLUMN week_start varchar(8) NOT NULL DEFAULT 'monday',
            ADD COLUMN default_reminder_time varchar(5) NOT NULL DEFAULT '09:00',
            ADD COLUMN deletes_at timestamptz,
            ADD CONSTRAINT ck_account_week_start CHECK (week_start IN ('monday', 'sunday', 'saturday')) NOT VALID
        """
    )
    op.execute("ALTER TABLE auth.account VALIDATE CONSTRAINT ck_account_week_start")


def downgrade() -> None:
    op.execute(
        """
        ALTER TABLE auth.account
            DROP COLUMN avatar_url, DROP COLUMN week_start, DROP COLUMN default_reminder_time, DROP COLUMN deletes_at
        """
    )
