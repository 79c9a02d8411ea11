"""Service accounts."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE auth.service_account (
        account_id uuid CONSTRAINT pk_service_account PRIMARY KEY
            CONSTRAINT fk_service_account_account_id_account REFERENCES auth.account (id),
        workspace_id uuid NOT NULL,
        name varchar(100) NOT NULL,
        role varchar(8) NOT NULL CONSTRAINT ck_service_account_role CHECK (role IN ('member', 'guest')),
        created_by uuid NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_service_account_workspace_id ON auth.service_account (workspace_id, account_id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE auth.service_account")
