"""Accounts, sessions, refresh tokens, signing keys, revocation marks, outbox and idempotency keys."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE auth.account (
        id uuid CONSTRAINT pk_account PRIMARY KEY,
        email varchar(254) NOT NULL,
        email_canonical varchar(254) NOT NULL CONSTRAINT uq_account_email_canonical UNIQUE,
        display_name varchar(100) NOT NULL,
        timezone varchar(64) NOT NULL,
        locale varchar(35),
        roles varchar(16)[] NOT NULL,
        password_hash varchar(255) NOT NULL,
        version integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE auth.session (
        id uuid CONSTRAINT pk_session PRIMARY KEY,
        user_id uuid NOT NULL CONSTRAINT fk_session_user_id_account REFERENCES auth.account (id),
        device varchar(256),
        created_at timestamptz NOT NULL,
        last_used_at timestamptz NOT NULL,
        idle_expires_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_session_user_id ON auth.session (user_id)",
    "CREATE INDEX ix_session_idle_expires_at ON auth.session (idle_expires_at)",
    """
    CREATE TABLE auth.refresh_token (
        hash bytea CONSTRAINT pk_refresh_token PRIMARY KEY,
        session_id uuid NOT NULL
            CONSTRAINT fk_refresh_token_session_id_session REFERENCES auth.session (id) ON DELETE CASCADE,
        replaced_at timestamptz,
        successor_hash bytea,
        successor_sealed varchar(255)
    )
    """,
    "CREATE INDEX ix_refresh_token_session_id ON auth.refresh_token (session_id)",
    """
    CREATE TABLE auth.login_failure (
        account_digest bytea NOT NULL,
        network varchar(64) NOT NULL,
        failures integer NOT NULL,
        blocked_until timestamptz,
        last_at timestamptz NOT NULL,
        CONSTRAINT pk_login_failure PRIMARY KEY (account_digest, network)
    )
    """,
    "CREATE INDEX ix_login_failure_last_at ON auth.login_failure (last_at)",
    """
    CREATE TABLE auth.signing_key (
        kid varchar(64) CONSTRAINT pk_signing_key PRIMARY KEY,
        public_key bytea NOT NULL,
        private_key_sealed varchar(255) NOT NULL,
        state varchar(8) NOT NULL CONSTRAINT ck_signing_key_state CHECK (state IN ('next', 'current', 'retired')),
        created_at timestamptz NOT NULL,
        published_until timestamptz
    )
    """,
    "CREATE UNIQUE INDEX uq_signing_key_current ON auth.signing_key (state) WHERE state <> 'retired'",
    """
    CREATE TABLE auth.revocation (
        id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_revocation PRIMARY KEY,
        kind varchar(8) NOT NULL CONSTRAINT ck_revocation_kind CHECK (kind IN ('session', 'user')),
        subject uuid NOT NULL,
        not_before timestamptz,
        expires_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_revocation_expires_at ON auth.revocation (expires_at)",
    """
    CREATE TABLE auth.outbox (
        event_id uuid CONSTRAINT pk_outbox PRIMARY KEY,
        type varchar(100) NOT NULL,
        occurred_at timestamptz NOT NULL,
        stream_id uuid NOT NULL,
        sequence bigint NOT NULL,
        subject uuid NOT NULL,
        data jsonb NOT NULL,
        traceparent varchar(64),
        state varchar(8) NOT NULL DEFAULT 'new',
        attempts smallint NOT NULL DEFAULT 0,
        available_at timestamptz,
        sent_at timestamptz
    )
    """,
    "CREATE INDEX ix_outbox_unsent ON auth.outbox (stream_id, sequence) WHERE state = 'new'",
    """
    CREATE TABLE auth.idempotency_key (
        caller_id uuid NOT NULL,
        key varchar(255) NOT NULL,
        fingerprint bytea NOT NULL,
        status smallint NOT NULL,
        headers jsonb NOT NULL,
        body bytea NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT pk_idempotency_key PRIMARY KEY (caller_id, key)
    )
    """,
    "CREATE INDEX ix_idempotency_key_created_at ON auth.idempotency_key (created_at)",
)

TABLES = (
    "idempotency_key",
    "outbox",
    "revocation",
    "signing_key",
    "login_failure",
    "refresh_token",
    "session",
    "account",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE auth.{table}")
