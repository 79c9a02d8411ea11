"""Which state of a service account is known, so that an older one changes nothing."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE tasks.service_account ADD COLUMN version integer NOT NULL DEFAULT 0")


def downgrade() -> None:
    op.execute("ALTER TABLE tasks.service_account DROP COLUMN version")
