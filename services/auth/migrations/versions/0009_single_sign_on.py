"""Identities at providers, and flows that have begun there."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE auth.oidc_identity (
        id uuid CONSTRAINT pk_oidc_identity PRIMARY KEY,
        account_id uuid NOT NULL CONSTRAINT fk_oidc_identity_account_id_account REFERENCES auth.account,
        provider varchar(32) NOT NULL,
        issuer varchar(255) NOT NULL,
        subject varchar(255) NOT NULL,
        shown_email varchar(254),
        created_at timestamptz NOT NULL,
        last_used_at timestamptz,
        CONSTRAINT uq_oidc_identity_subject UNIQUE (provider, issuer, subject)
    )
    """,
    "CREATE INDEX ix_oidc_identity_account_id ON auth.oidc_identity (account_id)",
    """
    CREATE TABLE auth.oidc_flow (
        id uuid CONSTRAINT pk_oidc_flow PRIMARY KEY,
        state_hash bytea NOT NULL CONSTRAINT uq_oidc_flow_state_hash UNIQUE,
        flow_token_hash bytea NOT NULL,
        provider varchar(32) NOT NULL,
        redirect_uri varchar(2000) NOT NULL,
        account_id uuid CONSTRAINT fk_oidc_flow_account_id_account REFERENCES auth.account,
        session_id uuid,
        verifier_sealed varchar(255) NOT NULL,
        nonce_sealed varchar(255) NOT NULL,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        used_at timestamptz,
        CONSTRAINT ck_oidc_flow_starter CHECK ((account_id IS NULL) = (session_id IS NULL))
    )
    """,
    "CREATE INDEX ix_oidc_flow_expires_at ON auth.oidc_flow (expires_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE auth.oidc_flow")
    op.execute("DROP TABLE auth.oidc_identity")
