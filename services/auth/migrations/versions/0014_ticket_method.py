"""Logins that wait for a second factor know what the first proof was."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE auth.login_ticket ADD COLUMN method varchar(16) NOT NULL DEFAULT 'password'")


def downgrade() -> None:
    op.execute("ALTER TABLE auth.login_ticket DROP COLUMN method")
