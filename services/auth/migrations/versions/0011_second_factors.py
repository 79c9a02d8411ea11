"""One-time codes, recovery codes, passkeys, and logins that wait for one of them."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = ("login_ticket", "passkey_challenge", "passkey", "otp_tries", "recovery_code", "totp")
STATEMENTS = (
    """
    CREATE TABLE auth.totp (
        id uuid CONSTRAINT pk_totp PRIMARY KEY,
        user_id uuid NOT NULL CONSTRAINT uq_totp_user_id UNIQUE
            CONSTRAINT fk_totp_user_id_account REFERENCES auth.account (id),
        secret_sealed varchar(255) NOT NULL,
        created_at timestamptz NOT NULL,
        confirmed_at timestamptz,
        last_step bigint
    )
    """,
    """
    CREATE TABLE auth.recovery_code (
        user_id uuid NOT NULL CONSTRAINT fk_recovery_code_user_id_account REFERENCES auth.account (id),
        hash bytea NOT NULL,
        used_at timestamptz,
        CONSTRAINT pk_recovery_code PRIMARY KEY (user_id, hash)
    )
    """,
    """
    CREATE TABLE auth.otp_tries (
        user_id uuid CONSTRAINT pk_otp_tries PRIMARY KEY
            CONSTRAINT fk_otp_tries_user_id_account REFERENCES auth.account (id),
        tries smallint NOT NULL,
        began_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_otp_tries_began_at ON auth.otp_tries (began_at)",
    """
    CREATE TABLE auth.passkey (
        id uuid CONSTRAINT pk_passkey PRIMARY KEY,
        user_id uuid NOT NULL CONSTRAINT fk_passkey_user_id_account REFERENCES auth.account (id),
        credential_id bytea NOT NULL CONSTRAINT uq_passkey_credential_id UNIQUE,
        public_key bytea NOT NULL,
        sign_count bigint NOT NULL,
        transports varchar(16)[] NOT NULL,
        backup_eligible boolean NOT NULL,
        backed_up boolean NOT NULL,
        name varchar(100) NOT NULL,
        created_at timestamptz NOT NULL,
        last_used_at timestamptz
    )
    """,
    "CREATE INDEX ix_passkey_user_id ON auth.passkey (user_id)",
    """
    CREATE TABLE auth.passkey_challenge (
        id uuid CONSTRAINT pk_passkey_challenge PRIMARY KEY,
        purpose varchar(16) NOT NULL,
        user_id uuid CONSTRAINT fk_passkey_challenge_user_id_account REFERENCES auth.account (id),
        challenge bytea NOT NULL,
        expires_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_passkey_challenge_expires_at ON auth.passkey_challenge (expires_at)",
    """
    CREATE TABLE auth.login_ticket (
        hash bytea CONSTRAINT pk_login_ticket PRIMARY KEY,
        user_id uuid NOT NULL CONSTRAINT fk_login_ticket_user_id_account REFERENCES auth.account (id),
        password_digest bytea NOT NULL,
        challenge_id uuid,
        expires_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX ix_login_ticket_expires_at ON auth.login_ticket (expires_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE auth.{table}")
