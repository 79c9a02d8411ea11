"""API tokens."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE auth.api_token (
        id uuid CONSTRAINT pk_api_token PRIMARY KEY,
        account_id uuid NOT NULL
            CONSTRAINT fk_api_token_account_id_account REFERENCES auth.account (id),
        created_by uuid NOT NULL,
        name varchar(100) NOT NULL,
        digest bytea NOT NULL CONSTRAINT uq_api_token_digest UNIQUE,
        digest_key varchar(64) NOT NULL,
        prefix varchar(8) NOT NULL,
        scopes varchar(32)[] NOT NULL,
        workspace_id uuid,
        project_ids uuid[],
        ip_allowlist varchar(49)[],
        read_only boolean NOT NULL,
        expires_at timestamptz NOT NULL,
        created_at timestamptz NOT NULL,
        last_used_at timestamptz,
        last_used_address varchar(45),
        used_elsewhere_at timestamptz,
        revoked_at timestamptz
    )
    """,
    "CREATE INDEX ix_api_token_account_id ON auth.api_token (account_id, id)",
    "CREATE INDEX ix_api_token_expires_at ON auth.api_token (expires_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE auth.api_token")
