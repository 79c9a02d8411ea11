"""Failed logins by address and by account, and the networks of those that succeeded."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE auth.address_failures (
        address varchar(64) CONSTRAINT pk_address_failures PRIMARY KEY,
        failed_at timestamptz[] NOT NULL,
        last_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_address_failures_last_at ON auth.address_failures (last_at)",
    """
    CREATE TABLE auth.account_failures (
        account_digest bytea CONSTRAINT pk_account_failures PRIMARY KEY,
        failures integer NOT NULL,
        blocked_at timestamptz,
        last_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_account_failures_last_at ON auth.account_failures (last_at)",
    """
    CREATE TABLE auth.known_network (
        account_id uuid NOT NULL
            CONSTRAINT fk_known_network_account_id_account REFERENCES auth.account (id) ON DELETE CASCADE,
        network varchar(64) NOT NULL,
        last_at timestamptz NOT NULL,
        CONSTRAINT pk_known_network PRIMARY KEY (account_id, network)
    )
    """,
    "CREATE INDEX ix_known_network_last_at ON auth.known_network (last_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("known_network", "account_failures", "address_failures"):
        op.execute(f"DROP TABLE auth.{table}")
