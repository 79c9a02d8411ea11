"""How a move is asked for, to a project where everybody has the same role; see api/test_matrix.py."""

from chassis.ids import uuid7


async def move_task(place):
    there = {"there": uuid7(), "here": place.project_id}
    await place.rows(
        "INSERT INTO tasks.project (id, workspace_id, name, is_inbox, visibility, created_by, version, created_at,"
        " updated_at) SELECT :there, workspace_id, 'Q', false, visibility, created_by, 1, now(), now()"
        " FROM tasks.project WHERE id = :here",
        **there,
    )
    await place.rows(
        "INSERT INTO tasks.project_member SELECT uuidv7(), workspace_id, :there, user_id, role, 1, now()"
        " FROM tasks.project_member WHERE project_id = :here",
        **there,
    )
    return "POST", f"/api/v1/tasks/{place.task_id}/move", {"project_id": str(there["there"])}


ENTRIES = (move_task,)
