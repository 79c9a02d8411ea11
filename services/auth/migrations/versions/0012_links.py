"""Mailed links, how many mails an account gets, and requests for mail."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE auth.link_token (
        id uuid CONSTRAINT pk_link_token PRIMARY KEY,
        account_id uuid NOT NULL
            CONSTRAINT fk_link_token_account_id_account REFERENCES auth.account (id) ON DELETE CASCADE,
        kind varchar(16) NOT NULL
            CONSTRAINT ck_link_token_kind CHECK (kind IN ('verify_email', 'change_email', 'reset_password')),
        hash bytea NOT NULL CONSTRAINT uq_link_token_hash UNIQUE,
        email varchar(254) NOT NULL,
        email_canonical varchar(254) NOT NULL,
        session_id uuid,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        used_at timestamptz
    )
    """,
    "CREATE INDEX ix_link_token_account_id ON auth.link_token (account_id)",
    "CREATE INDEX ix_link_token_expires_at ON auth.link_token (expires_at)",
    """
    CREATE TABLE auth.mail_budget (
        account_id uuid NOT NULL
            CONSTRAINT fk_mail_budget_account_id_account REFERENCES auth.account (id) ON DELETE CASCADE,
        kind varchar(32) NOT NULL,
        sent_at timestamptz[] NOT NULL,
        last_at timestamptz NOT NULL,
        CONSTRAINT pk_mail_budget PRIMARY KEY (account_id, kind)
    )
    """,
    "CREATE INDEX ix_mail_budget_last_at ON auth.mail_budget (last_at)",
    """
    CREATE TABLE auth.mail_request (
        id uuid CONSTRAINT pk_mail_request PRIMARY KEY,
        kind varchar(24) NOT NULL,
        email varchar(254) NOT NULL,
        email_canonical varchar(254) NOT NULL,
        display_name varchar(100),
        password_hash varchar(255),
        created_at timestamptz NOT NULL,
        not_before timestamptz NOT NULL,
        attempts smallint NOT NULL,
        request_id varchar(64) NOT NULL,
        traceparent varchar(64) NOT NULL,
        address varchar(45),
        device varchar(256)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in ("mail_request", "mail_budget", "link_token"):
        op.execute(f"DROP TABLE auth.{table}")
