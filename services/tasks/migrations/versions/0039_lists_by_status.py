"""Lists by status are read in order, and PostgreSQL knows that a caller's rows are not few among those of a project.

What a policy compares the workspace with is known to it only as the statement runs. It took that for a condition of
its own, one that hardly a row of a project fulfils, though all do or none: it then looked up all tasks of a status
and sorted them, for the newest twenty. Of what is not unknown it takes nearly all rows to be (booltestsel in its
selfuncs.c), and by NULLIF only what is true is not unknown.
"""

from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What an attempt that was cut short has left is dropped first.",
}

IN_WORKSPACE = "workspace_id = ANY ((SELECT tasks.caller_workspaces())::uuid[])"
POLICY = "ALTER POLICY tasks_caller ON tasks.task USING ({})"
INDEX = "CREATE INDEX CONCURRENTLY ix_task_by_status ON tasks.task (project_id, status, id)"
FORMER_INDEX = "CREATE INDEX CONCURRENTLY ix_task_status ON tasks.task (project_id, status)"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        # What an attempt that was cut short has left is invalid, and would count as there.
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS tasks.ix_task_by_status")
        op.execute(INDEX)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS tasks.ix_task_status")
        op.execute(POLICY.format(f"nullif({IN_WORKSPACE}, false) IS NOT UNKNOWN"))


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(POLICY.format(IN_WORKSPACE))
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS tasks.ix_task_status")
        op.execute(FORMER_INDEX)
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS tasks.ix_task_by_status")
