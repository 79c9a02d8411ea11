"""${message}

Expand only: the previous release still runs on this schema. Long backfills belong into `backfill`, not here;
an index on a filled table goes into a revision of its own, made CONCURRENTLY in an autocommit block.
"""

from alembic import op
import sqlalchemy as sa

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
