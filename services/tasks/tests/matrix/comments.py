"""How each operation on comments is asked for; see api/test_matrix.py."""

from chassis.ids import uuid7


async def commented(place, *, by_caller=False):
    """Make a comment, the caller's or that of nobody who asks; return its path."""
    path = f"/api/v1/tasks/{place.task_id}/comments"
    made = await place.by_manager("POST", path, {"body": "a"})
    author = place.caller_id if by_caller else uuid7()
    await place.rows("UPDATE tasks.comment SET author_id = :author WHERE id = :id", author=author, id=made["id"])
    return f"{path}/{made['id']}"


async def create_comment(place):
    return "POST", f"/api/v1/tasks/{place.task_id}/comments", {"body": "a"}


async def list_comments(place):
    return "GET", f"/api/v1/tasks/{place.task_id}/comments", None


async def read_comment(place):
    return "GET", await commented(place), None


async def update_comment(place):
    return "PATCH", await commented(place, by_caller=True), {"body": "b"}


async def delete_comment(place):
    return "DELETE", await commented(place), None


async def list_comment_versions(place):
    return "GET", f"{await commented(place)}/versions", None


async def add_reaction(place):
    return "PUT", f"{await commented(place)}/reactions/%F0%9F%91%8D", None


async def remove_reaction(place):
    return "DELETE", f"{await commented(place)}/reactions/%F0%9F%91%8D", None


update_comment.is_own = True
ENTRIES = (
    create_comment,
    list_comments,
    read_comment,
    update_comment,
    delete_comment,
    list_comment_versions,
    add_reaction,
    remove_reaction,
)
