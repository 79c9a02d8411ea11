"""An index for finding accounts by words of name and address, made while others write."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}

DEFINITION = """
    CREATE INDEX CONCURRENTLY ix_account_words ON auth.account USING gin (
        to_tsvector(
            'simple'::regconfig,
            regexp_replace(display_name || ' ' || coalesce(email_canonical, ''), '[!-/:-@[-`{-~]+', ' ', 'g')
        )
    )
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # What an attempt that was cut short has left is invalid, and would count as there.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS auth.ix_account_words")
        op.get_bind().exec_driver_sql(DEFINITION)


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY auth.ix_account_words")
