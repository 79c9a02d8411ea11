"""How each operation on watchers is asked for; see api/test_matrix.py."""


async def list_watchers(place):
    return "GET", f"/api/v1/tasks/{place.task_id}/watchers", None


async def add_watcher(place):
    return "POST", f"/api/v1/tasks/{place.task_id}/watchers", {"user_id": str(place.caller_id)}


async def read_watcher(place):
    # Who makes a task watches it.
    task = await place.by_manager("GET", f"/api/v1/tasks/{place.task_id}")
    return "GET", f"/api/v1/tasks/{place.task_id}/watchers/{task['created_by']}", None


async def remove_watcher(place):
    return "DELETE", f"/api/v1/tasks/{place.task_id}/watchers/{place.caller_id}", None


async def mute_task(place):
    return "PUT", f"/api/v1/tasks/{place.task_id}/watchers/mute", None


async def unmute_task(place):
    return "DELETE", f"/api/v1/tasks/{place.task_id}/watchers/mute", None


ENTRIES = (list_watchers, add_watcher, read_watcher, remove_watcher, mute_task, unmute_task)
UNDECIDED = {
    "read_watch_rules": "shows the caller's own rules",
    "replace_watch_rules": "changes the caller's own rules",
}
