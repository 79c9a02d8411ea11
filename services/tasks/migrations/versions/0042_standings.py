"""Where the logs stand of all that a caller sees is told to several callers in one round trip, each as that caller.

As tasks are found for several by the function of 0041; what is said there counts here, too.
"""

from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

STATEMENT = """
    SELECT place, (
        SELECT CAST(left(encode(sha256(convert_to(
            string_agg(concat(head.workspace_id, '-', head.last_seq), ',' ORDER BY head.workspace_id),
            'UTF8')), 'hex'), 32) AS UUID) AS left_1
        FROM (
            SELECT tasks.change_counter.workspace_id AS workspace_id, tasks.change_counter.last_seq AS last_seq
            FROM tasks.change_counter
            JOIN tasks.member ON tasks.member.workspace_id = tasks.change_counter.workspace_id
            WHERE tasks.member.user_id = of_caller) AS head) AS log_at,
        (SELECT tasks.person.timezone FROM tasks.person WHERE tasks.person.id = of_caller) AS zone
"""
FUNCTION = f"""
    CREATE FUNCTION tasks.standings(of_callers uuid[]) RETURNS TABLE (asked_at integer, log_at uuid, zone varchar)
    LANGUAGE plpgsql VOLATILE SECURITY INVOKER ROWS 8
    AS $$
    DECLARE
        of_caller uuid;
        kept text[];
    BEGIN
        PERFORM set_config('role', 'none', true);
        FOREACH of_caller IN ARRAY of_callers LOOP
            kept := kept || coalesce(
                (SELECT array_agg(member.workspace_id) FROM tasks.member WHERE member.user_id = of_caller), '{{}}'
            )::text;
        END LOOP;
        PERFORM set_config('role', 'tasks_caller', true);
        FOR place IN 1..cardinality(of_callers) LOOP
            of_caller := of_callers[place];
            PERFORM set_config('taskloom.caller', of_caller::text, true),
                set_config('taskloom.workspaces', kept[place], true);
            RETURN QUERY {STATEMENT};
        END LOOP;
    END
    $$
"""


def upgrade() -> None:
    op.execute(FUNCTION)


def downgrade() -> None:
    op.execute("DROP FUNCTION tasks.standings(uuid[])")
