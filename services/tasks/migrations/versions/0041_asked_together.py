"""Tasks that several callers read at the same time are found in one round trip, each as its own caller.

A statement and a transaction of its own, and being woken for it, cost the server more than the task does. The function
does what that of 0040 does for each of its callers and tasks, one after the other, so that the policies read whose task
it is that is looked for, and says of each row at which place it was asked for. What it sets ends with the transaction
that calls it, which is that one statement. That of 0040 is what the release before calls; it goes with the one after.
"""

from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

COLUMNS = """
    id uuid, workspace_id uuid, project_id uuid, title varchar, description text, number integer, status varchar,
    status_category varchar, category_id uuid, labels uuid[], parent_id uuid, subtasks_total integer,
    subtasks_done integer, assigned_to uuid, assignees uuid[], completion_policy varchar, reopen_on_assign boolean,
    start_date date, deadline date, estimate_minutes integer, "position" varchar, external_source varchar,
    external_id varchar, custom jsonb, priority varchar, due_kind varchar, due_date date, due_at timestamptz,
    due_local timestamp, due_timezone varchar, completed_at timestamptz, completed_by uuid, created_by uuid,
    version integer, created_at timestamptz, updated_at timestamptz, deleted_at timestamptz, deleted_by uuid,
    deleted_with uuid, key text, role text, workspace_role varchar, is_archived boolean, had_another_key boolean
"""
STATEMENT = """
    SELECT place, tasks.task.id, tasks.task.workspace_id, tasks.task.project_id, tasks.task.title,
        tasks.task.description, tasks.task.number, tasks.task.status, tasks.task.status_category,
        tasks.task.category_id, tasks.task.labels, tasks.task.parent_id, tasks.task.subtasks_total,
        tasks.task.subtasks_done, tasks.task.assigned_to, tasks.task.assignees, tasks.task.completion_policy,
        tasks.task.reopen_on_assign, tasks.task.start_date, tasks.task.deadline, tasks.task.estimate_minutes,
        tasks.task.position, tasks.task.external_source, tasks.task.external_id, tasks.task.custom,
        tasks.task.priority, tasks.task.due_kind, tasks.task.due_date, tasks.task.due_at, tasks.task.due_local,
        tasks.task.due_timezone, tasks.task.completed_at, tasks.task.completed_by, tasks.task.created_by,
        tasks.task.version, tasks.task.created_at, tasks.task.updated_at, tasks.task.deleted_at,
        tasks.task.deleted_by, tasks.task.deleted_with,
        tasks.project.prefix || '-' || CAST(tasks.task.number AS VARCHAR) AS key,
        (ARRAY['viewer', 'commenter', 'editor', 'manager'])[of_one.rank] AS role, tasks.member.role AS workspace_role,
        tasks.project.archived_at IS NOT NULL AS is_archived,
        EXISTS (SELECT * FROM tasks.task_key_alias WHERE tasks.task_key_alias.task_id = tasks.task.id)
            AS had_another_key
    FROM tasks.task
    JOIN tasks.project ON tasks.project.id = tasks.task.project_id
    JOIN tasks.member ON tasks.member.workspace_id = tasks.task.workspace_id
    JOIN LATERAL (SELECT CASE WHEN (tasks.member.role = 'owner' OR tasks.member.role = 'admin') THEN 4 ELSE greatest(
        CASE WHEN (tasks.member.role = 'member' AND tasks.project.visibility = 'workspace') THEN
            CASE WHEN (tasks.project.member_role = 'viewer') THEN 1
                WHEN (tasks.project.member_role = 'commenter') THEN 2
                WHEN (tasks.project.member_role = 'editor') THEN 3
                WHEN (tasks.project.member_role = 'manager') THEN 4 ELSE 0 END
            ELSE 0 END,
        coalesce((SELECT
            CASE WHEN (tasks.project_member.role = 'viewer') THEN 1
                WHEN (tasks.project_member.role = 'commenter') THEN 2
                WHEN (tasks.project_member.role = 'editor') THEN 3
                WHEN (tasks.project_member.role = 'manager') THEN 4 ELSE 0 END AS anon_1
            FROM tasks.project_member
            WHERE tasks.project_member.project_id = tasks.project.id AND tasks.project_member.user_id = of_caller),
        0)) END AS rank LIMIT ALL OFFSET 0) AS in_project ON true
    JOIN LATERAL (SELECT CASE WHEN (in_project.rank >= 3) THEN in_project.rank ELSE greatest(
        in_project.rank,
        coalesce((SELECT
            CASE WHEN (tasks.task_share.role = 'viewer') THEN 1
                WHEN (tasks.task_share.role = 'commenter') THEN 2
                WHEN (tasks.task_share.role = 'editor') THEN 3
                WHEN (tasks.task_share.role = 'manager') THEN 4 ELSE 0 END AS anon_2
            FROM tasks.task_share
            WHERE tasks.task_share.task_id = tasks.task.id AND tasks.task_share.user_id = of_caller),
        0)) END AS rank LIMIT ALL OFFSET 0) AS of_one ON true
    WHERE tasks.member.user_id = of_caller AND tasks.project.deleted_at IS NULL AND of_one.rank > 0
        AND tasks.task.deleted_at IS NULL AND tasks.task.id = of_task
"""
# As who logged in it looks up what the callers are members of, which costs half of what the function for that does.
FUNCTION = f"""
    CREATE FUNCTION tasks.visible_tasks(of_callers uuid[], of_tasks uuid[]) RETURNS TABLE (asked_at integer, {COLUMNS})
    LANGUAGE plpgsql VOLATILE SECURITY INVOKER ROWS 8
    AS $$
    DECLARE
        of_caller uuid;
        of_task uuid;
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
            of_task := of_tasks[place];
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
    op.execute("DROP FUNCTION tasks.visible_tasks(uuid[], uuid[])")
