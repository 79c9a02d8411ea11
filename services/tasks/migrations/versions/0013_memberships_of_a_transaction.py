"""A transaction keeps what its caller was a member of when it began: who is removed meanwhile finishes, or is refused.

Reads, which are single statements, go by what is now.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

KEPT = "nullif(current_setting('taskloom.workspaces', true), '')::uuid[]"
# Of the owner, since the members that they read are seen by a policy that asks them.
DEFINER = "RETURNS uuid[] LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp"
OF_CALLER = "SELECT array_agg(workspace_id) FROM tasks.member WHERE user_id = tasks.caller()"
MEMBERSHIPS = f"""
    CREATE FUNCTION tasks.caller_memberships() {DEFINER}
    AS $$ SELECT coalesce({KEPT}, '{{}}') || coalesce(({OF_CALLER}), '{{}}') $$
"""
WORKSPACES = f"""
    CREATE OR REPLACE FUNCTION tasks.caller_workspaces() {DEFINER}
    AS $$ SELECT coalesce({KEPT}, ({OF_CALLER}), '{{}}') $$
"""
# As it was in 0012.
FORMER_WORKSPACES = f"""
    CREATE OR REPLACE FUNCTION tasks.caller_workspaces() {DEFINER}
    AS $$ SELECT coalesce(array_agg(workspace_id), '{{}}') FROM tasks.member WHERE user_id = tasks.caller() $$
"""


def upgrade() -> None:
    op.execute(MEMBERSHIPS)
    op.execute(WORKSPACES)


def downgrade() -> None:
    op.execute(FORMER_WORKSPACES)
    op.execute("DROP FUNCTION tasks.caller_memberships()")
