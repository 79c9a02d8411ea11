"""Who is out of a workspace is told so, and sees nothing else of its log."""

from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped or replaced first.",
}

# Of the owner, with the caller that the policies read, too: of the log it gives the ends of that one's memberships.
FUNCTION = """
    CREATE OR REPLACE FUNCTION tasks.ended_memberships(of_workspaces uuid[]) RETURNS SETOF tasks.change LANGUAGE sql
    STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT DISTINCT ON (ended.workspace_id) ended.*
        FROM tasks.change AS ended
        WHERE ended.workspace_id = ANY (of_workspaces) AND ended.type = 'member.removed.v1'
            AND ended.resource->>'user_id' = tasks.caller()::text
            AND NOT EXISTS (
                SELECT FROM tasks.member
                WHERE member.workspace_id = ended.workspace_id AND member.user_id = tasks.caller()
            )
        ORDER BY ended.workspace_id, ended.seq DESC
    $$
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(FUNCTION)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS tasks.ix_change_member_removed")
        op.execute(
            "CREATE INDEX CONCURRENTLY ix_change_member_removed ON tasks.change (workspace_id, seq)"
            " WHERE type = 'member.removed.v1'"
        )


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY tasks.ix_change_member_removed")
        op.execute("DROP FUNCTION tasks.ended_memberships(uuid[])")
