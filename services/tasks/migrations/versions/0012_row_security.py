"""The second line of who sees what: requests run as a role that sees the rows of its caller's workspaces alone.

Everything else, the release before included, runs as the owner of the tables, whom a policy lets see all.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

SQUAWK_IGNORED = {
    "prefer-robust-stmts": "What is enabled again stays enabled; all else is dropped first, or replaced.",
}

ROLE = "tasks_caller"
SETTING = "taskloom.caller"
# Roles are of the whole server: whoever may not make one finds it made by what made the login.
ROLE_IS_THERE = f"""
    DO $$
    DECLARE
        me pg_roles%ROWTYPE;
    BEGIN
        SELECT * INTO me FROM pg_roles WHERE rolname = current_user;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') AND (me.rolsuper OR me.rolcreaterole) THEN
            BEGIN
                CREATE ROLE {ROLE} NOLOGIN;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of this server was faster
            END;
            IF NOT me.rolsuper THEN
                EXECUTE format('GRANT {ROLE} TO %I WITH INHERIT FALSE, SET TRUE', current_user);
            END IF;
        END IF;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') OR NOT pg_has_role(current_user, '{ROLE}', 'SET')
        THEN
            RAISE insufficient_privilege USING
                MESSAGE = format('requests run as the role {ROLE}, which is not there, or which %s may not become',
                    current_user),
                HINT = format('an administrator of the server has to run: CREATE ROLE {ROLE} NOLOGIN;'
                    ' GRANT {ROLE} TO %I WITH INHERIT FALSE, SET TRUE;', current_user);
        END IF;
    END $$
"""
FUNCTIONS = (
    f"""
    CREATE OR REPLACE FUNCTION tasks.caller() RETURNS uuid LANGUAGE sql STABLE
    AS $$ SELECT nullif(current_setting('{SETTING}', true), '')::uuid $$
    """,
    # Of the owner, since the members that it reads are seen by a policy that asks it.
    """
    CREATE OR REPLACE FUNCTION tasks.caller_workspaces() RETURNS uuid[] LANGUAGE sql STABLE
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$ SELECT coalesce(array_agg(workspace_id), '{}') FROM tasks.member WHERE user_id = tasks.caller() $$
    """,
)

IN_WORKSPACE = "{} = ANY ((SELECT tasks.caller_workspaces())::uuid[])"
TABLES = (
    "assignee",
    "category",
    "change",
    "change_counter",
    "checklist_item",
    "comment",
    "comment_version",
    "invitation",
    "label",
    "member",
    "metadata_namespace",
    "personal_label",
    "project",
    "project_member",
    "project_prefix",
    "reaction",
    "relation",
    "service_account",
    "star",
    "status",
    "task",
    "task_key_alias",
    "task_metadata",
    "task_share",
    "watcher",
)
POLICIES = {
    **{(table, ROLE): f"FOR ALL TO {ROLE} USING ({IN_WORKSPACE.format('workspace_id')})" for table in TABLES},
    ("workspace", ROLE): f"FOR ALL TO {ROLE} USING ({IN_WORKSPACE.format('id')})",
    # Who adds somebody to a task asks what that one wants to watch.
    ("watch_rule", f"{ROLE}_reads"): f"FOR SELECT TO {ROLE} USING (true)",
    ("watch_rule", ROLE): f"FOR ALL TO {ROLE} USING (user_id = (SELECT tasks.caller()))",
}
GUARDED = (*TABLES, "workspace", "watch_rule")
# What is of no workspace: first answers are found by the caller's credential, people are told to all who share a
# workspace with them, and events are written and not read.
GRANTS = (
    f"GRANT USAGE ON SCHEMA tasks TO {ROLE}",
    *(f"GRANT SELECT, INSERT, UPDATE, DELETE ON tasks.{table} TO {ROLE}" for table in (*GUARDED, "idempotency_key")),
    # A row is locked by who may update some column of it.
    f"GRANT SELECT, UPDATE (id) ON tasks.person TO {ROLE}",
    f"GRANT INSERT ON tasks.outbox TO {ROLE}",
)


def upgrade() -> None:
    # Each by itself, so that no two tables are locked at once. Policies say nothing before they are enabled.
    with op.get_context().autocommit_block():
        for statement in (ROLE_IS_THERE, *FUNCTIONS, *GRANTS):
            op.execute(statement)
        for table in GUARDED:
            op.execute(f"DROP POLICY IF EXISTS owner ON tasks.{table}")
            op.execute(f"CREATE POLICY owner ON tasks.{table} FOR ALL TO CURRENT_USER USING (true)")
        for (table, name), policy in POLICIES.items():
            op.execute(f"DROP POLICY IF EXISTS {name} ON tasks.{table}")
            op.execute(f"CREATE POLICY {name} ON tasks.{table} {policy}")
        for table in GUARDED:
            op.execute(f"ALTER TABLE tasks.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    for table in GUARDED:
        op.execute(f"ALTER TABLE tasks.{table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
        op.execute(f"DROP POLICY owner ON tasks.{table}")
    for table, name in POLICIES:
        op.execute(f"DROP POLICY {name} ON tasks.{table}")
    op.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA tasks FROM {ROLE}")
    op.execute(f"REVOKE ALL ON SCHEMA tasks FROM {ROLE}")
    op.execute("DROP FUNCTION tasks.caller_workspaces()")
    op.execute("DROP FUNCTION tasks.caller()")
