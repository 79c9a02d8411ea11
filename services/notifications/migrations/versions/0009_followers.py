"""How far each follower has come in each stream, and which events it left out."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS = (
    # A position moves with each batch: room for its next state on the same page keeps the index as it is.
    """
    CREATE TABLE notifications.follower_position (
        follower varchar(32) NOT NULL,
        stream_id uuid NOT NULL,
        seq bigint NOT NULL,
        failures integer NOT NULL,
        retry_at timestamptz,
        CONSTRAINT pk_follower_position PRIMARY KEY (follower, stream_id)
    ) WITH (fillfactor = 70)
    """,
    """
    CREATE TABLE notifications.follower_failure (
        follower varchar(32) NOT NULL,
        stream_id uuid NOT NULL,
        seq bigint NOT NULL,
        event_type varchar(100) NOT NULL,
        reason varchar(100) NOT NULL,
        failed_at timestamptz NOT NULL,
        CONSTRAINT pk_follower_failure PRIMARY KEY (follower, stream_id, seq)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("follower_failure", "follower_position"):
        op.execute(f"DROP TABLE notifications.{table}")
