"""How comments, reactions and what people note for themselves are turned back."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import RowMapping

from tasks_service.comments import repository as comments_repository
from tasks_service.comments import service as comments
from tasks_service.comments.errors import CommentNotFound
from tasks_service.comments.events import COMMENT_CREATED, COMMENT_UPDATED
from tasks_service.comments.schemas import CommentPatch
from tasks_service.inverses.schemas import WHATEVER, Inverse, Step
from tasks_service.inverses.service import allow, impossible, patch_of, the_task
from tasks_service.labels import service as labels
from tasks_service.labels.events import PERSONAL_LABEL_ADDED, PERSONAL_LABEL_REMOVED
from tasks_service.labels.schemas import LABEL
from tasks_service.names.repository import find_visible
from tasks_service.permissions.rules import Action
from tasks_service.permissions.schemas import Held
from tasks_service.projects.errors import ProjectArchived
from tasks_service.reactions import service as reactions
from tasks_service.reactions.events import REACTION_ADDED, REACTION_REMOVED
from tasks_service.stars import service as stars
from tasks_service.stars.events import STAR_ADDED, STAR_REMOVED
from tasks_service.watchers import service as watchers
from tasks_service.watchers.events import WATCHER_ADDED, WATCHER_REMOVED, WATCHER_UPDATED


async def _the_comment(step: Step, action: Action, comment_id: UUID) -> RowMapping:
    """Return the comment. Raises CommentNotFound, Forbidden, ProjectArchived."""
    if step.task_id is None:
        raise CommentNotFound
    row = await comments_repository.find_writable(
        step.session, caller=step.actor, task_id=step.task_id, comment_id=comment_id
    )
    if row is None:
        raise CommentNotFound
    is_own = row["author_id"] == step.actor.user_id
    allow(step, action, Held(row["role"], row["workspace_id"], row["project_id"], is_own=is_own))
    if row["is_archived"]:
        raise ProjectArchived
    return row


async def _delete_comment(step: Step) -> None:
    comment = await _the_comment(step, "comment.delete", step.entity_id)
    await comments.delete_comment(step.session, comment=comment, expected=WHATEVER, actor=step.actor)


async def _change_comment(step: Step) -> None:
    comment = await _the_comment(step, "comment.edit", step.entity_id)
    patch = patch_of(step, CommentPatch, {"body": step.old["body"]})
    await comments.update_comment(step.session, comment=comment, patch=patch, expected=WHATEVER, actor=step.actor)


def _require_own(step: Step) -> None:
    """Refuse what somebody else has of their own. Raises UndoNotPossible."""
    if step.resource["user_id"] != str(step.actor.user_id):
        raise impossible(step, "This is of somebody else.")


async def _unreact(step: Step) -> None:
    _require_own(step)
    comment = await _the_comment(step, "comment.react", UUID(step.resource["comment_id"]))
    await reactions.take_back(step.session, comment=comment, emoji=step.resource["emoji"], actor=step.actor)


async def _react(step: Step) -> None:
    _require_own(step)
    comment = await _the_comment(step, "comment.react", UUID(step.resource["comment_id"]))
    await reactions.react(step.session, comment=comment, emoji=step.resource["emoji"], actor=step.actor)


async def _star(step: Step) -> None:
    _require_own(step)
    task = await the_task(step, "task.follow", in_archive=True)
    await stars.star(step.session, task=task, actor=step.actor)


async def _unstar(step: Step) -> None:
    _require_own(step)
    task = await the_task(step, "task.follow", in_archive=True)
    await stars.unstar(step.session, task=task, actor=step.actor)


async def _watch(step: Step) -> None:
    task = await the_task(step, "task.follow", in_archive=True)
    await watchers.watch(step.session, task=task, user_id=UUID(step.resource["user_id"]), actor=step.actor)


async def _unwatch(step: Step) -> None:
    task = await the_task(step, "task.follow", in_archive=True)
    await watchers.unwatch(step.session, task=task, user_id=UUID(step.resource["user_id"]), actor=step.actor)


async def _mute_or_not(step: Step) -> None:
    _require_own(step)
    task = await the_task(step, "task.follow", in_archive=True)
    if step.old["is_muted"]:
        await watchers.mute(step.session, task=task, actor=step.actor)
    else:
        await watchers.unmute(step.session, task=task, actor=step.actor)


async def _label(step: Step) -> None:
    task, label = await _labelling(step)
    await labels.put_personal(step.session, task=task, label=label, actor=step.actor)


async def _unlabel(step: Step) -> None:
    task, label = await _labelling(step)
    await labels.take_personal_off(step.session, task=task, label=label, actor=step.actor)


async def _labelling(step: Step) -> tuple[RowMapping, RowMapping]:
    """Return the task and the label of the actor's own. Raises TaskNotFound, Forbidden, UndoNotPossible."""
    _require_own(step)
    task = await the_task(step, "task.read", in_archive=True)
    allow(step, "task.label", Held(task["role"], task["workspace_id"], task["project_id"], is_own=True))
    label_id = UUID(step.resource["label_id"])
    label = await find_visible(step.session, LABEL.table, caller=step.actor, row_id=label_id)
    if label is None:
        raise impossible(step, "The label is there no more.")
    return task, label


INVERSES: Mapping[str, Inverse] = {
    COMMENT_CREATED: _delete_comment,
    COMMENT_UPDATED: _change_comment,
    REACTION_ADDED: _unreact,
    REACTION_REMOVED: _react,
    STAR_ADDED: _unstar,
    STAR_REMOVED: _star,
    WATCHER_ADDED: _unwatch,
    WATCHER_REMOVED: _watch,
    WATCHER_UPDATED: _mute_or_not,
    PERSONAL_LABEL_ADDED: _unlabel,
    PERSONAL_LABEL_REMOVED: _label,
}
