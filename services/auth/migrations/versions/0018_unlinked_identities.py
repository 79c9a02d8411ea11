"""Identities that an account has unlinked, so that they do not come back by themselves."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TABLE = """
    CREATE TABLE auth.oidc_unlinked (
        account_id uuid NOT NULL CONSTRAINT fk_oidc_unlinked_account_id_account REFERENCES auth.account,
        provider varchar(32) NOT NULL,
        issuer varchar(255) NOT NULL,
        subject varchar(255) NOT NULL,
        unlinked_at timestamptz NOT NULL,
        CONSTRAINT pk_oidc_unlinked PRIMARY KEY (account_id, provider, issuer, subject)
    )
"""


def upgrade() -> None:
    op.execute(TABLE)


def downgrade() -> None:
    op.execute("DROP TABLE auth.oidc_unlinked")
