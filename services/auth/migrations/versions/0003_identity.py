"""States of accounts, proofs of sessions, and the audit."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "ban-drop-not-null": "Made before the first release: no client has relied on it.",
    "constraint-missing-not-valid": "Made before the first release: no account was there to be looked at.",
}

STATEMENTS = (
    """
    ALTER TABLE auth.account
        ADD COLUMN kind varchar(8) NOT NULL DEFAULT 'human',
        ADD COLUMN status varchar(12) NOT NULL DEFAULT 'active',
        ADD COLUMN email_verified_at timestamptz,
        ADD COLUMN password_reset_required boolean NOT NULL DEFAULT false,
        ADD COLUMN has_second_factor boolean NOT NULL DEFAULT false,
        ALTER COLUMN email DROP NOT NULL,
        ALTER COLUMN email_canonical DROP NOT NULL,
        ALTER COLUMN password_hash DROP NOT NULL,
        ADD CONSTRAINT ck_account_kind CHECK (kind IN ('human', 'service')),
        ADD CONSTRAINT ck_account_status
            CHECK (status IN ('active', 'deactivated', 'disabled', 'deleting', 'deleted'))
    """,
    """
    ALTER TABLE auth.session
        ADD COLUMN address varchar(45),
        ADD COLUMN methods varchar(16)[] NOT NULL DEFAULT '{password}',
        ADD COLUMN authenticated_at timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN second_factor_at timestamptz
    """,
    """
    CREATE TABLE auth.audit_event (
        id uuid CONSTRAINT pk_audit_event PRIMARY KEY,
        occurred_at timestamptz NOT NULL,
        action varchar(64) NOT NULL,
        outcome varchar(8) NOT NULL CONSTRAINT ck_audit_event_outcome CHECK (outcome IN ('success', 'refused')),
        actor_id uuid,
        subject_id uuid,
        credential_id uuid,
        address varchar(45),
        device varchar(256),
        request_id varchar(64) NOT NULL,
        details jsonb NOT NULL
    )
    """,
    "CREATE INDEX ix_audit_event_subject_id ON auth.audit_event (subject_id, id)",
    "CREATE INDEX ix_audit_event_actor_id ON auth.audit_event (actor_id, id)",
    "CREATE INDEX ix_audit_event_action ON auth.audit_event (action, id)",
)
REVERSED = (
    "DROP TABLE auth.audit_event",
    """
    ALTER TABLE auth.session
        DROP COLUMN address, DROP COLUMN methods, DROP COLUMN authenticated_at, DROP COLUMN second_factor_at
    """,
    """
    ALTER TABLE auth.account
        DROP COLUMN kind, DROP COLUMN status, DROP COLUMN email_verified_at, DROP COLUMN password_reset_required,
        DROP COLUMN has_second_factor
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for statement in REVERSED:
        op.execute(statement)
