"""What a caller's rows are of is read from where it is kept, within each statement, and asked for only where it is not.

A function of its owner, or with settings of its own, is called for each table of a statement, at 40 us each; this one
PostgreSQL puts into the statement as it is.
"""

from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

KEPT = "nullif(current_setting('taskloom.workspaces', true), '')::uuid[]"
INLINED = f"""
    CREATE OR REPLACE FUNCTION tasks.caller_workspaces() RETURNS uuid[] LANGUAGE sql STABLE
    RETURN coalesce({KEPT}, tasks.caller_memberships())
"""
# As it was in 0013.
FORMER = f"""
    CREATE OR REPLACE FUNCTION tasks.caller_workspaces()
    RETURNS uuid[] LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT coalesce({KEPT}, (SELECT array_agg(workspace_id) FROM tasks.member
        WHERE user_id = tasks.caller()), '{{}}') $$
"""


def upgrade() -> None:
    op.execute(INLINED)


def downgrade() -> None:
    op.execute(FORMER)
