"""How changes of projects, their statuses, categories, labels and saved filters are turned back."""

from collections.abc import Mapping

from sqlalchemy import RowMapping

from tasks_service.categories.events import CATEGORY_CREATED, CATEGORY_UPDATED
from tasks_service.categories.schemas import CATEGORY, CategoryPatch, TasksPlan
from tasks_service.categories.service import delete_category
from tasks_service.inverses.schemas import WHATEVER, Inverse, Step
from tasks_service.inverses.service import allow, impossible, in_use, patch_of
from tasks_service.labels.events import LABEL_CREATED, LABEL_UPDATED
from tasks_service.labels.schemas import LABEL, LabelPatch
from tasks_service.labels.service import delete_label
from tasks_service.names import service as names
from tasks_service.names.errors import NamedMissing
from tasks_service.names.policies import held as held_of_named
from tasks_service.names.repository import lock_visible
from tasks_service.names.schemas import NamedKind
from tasks_service.permissions.rules import Action
from tasks_service.place_inverses import repository
from tasks_service.project_lifecycle import service as lifecycle
from tasks_service.projects import repository as projects_repository
from tasks_service.projects import service as projects
from tasks_service.projects.errors import ProjectArchived, ProjectMissing
from tasks_service.projects.events import PROJECT_CREATED, PROJECT_DELETED, PROJECT_RESTORED, PROJECT_UPDATED
from tasks_service.projects.policies import held
from tasks_service.projects.schemas import ProjectPatch
from tasks_service.saved_filters import service as filters
from tasks_service.saved_filters.events import FILTER_CREATED, FILTER_DELETED, FILTER_UPDATED
from tasks_service.saved_filters.policies import held as held_of_filter
from tasks_service.saved_filters.repository import find_visible as find_filter
from tasks_service.saved_filters.schemas import FilterPatch
from tasks_service.status_changes import service as statuses
from tasks_service.statuses.events import STATUS_CREATED, STATUS_UPDATED
from tasks_service.statuses.schemas import StatusPatch


async def _the_named(step: Step, kind: NamedKind, action: Action) -> RowMapping:
    """Return what has a name, locked. Raises NamedMissing, Forbidden."""
    found = await lock_visible(step.session, kind.table, caller=step.actor, row_ids=[step.entity_id])
    if step.entity_id not in found:
        raise NamedMissing
    allow(step, action, held_of_named(step.actor, found[step.entity_id]))
    return found[step.entity_id]


async def _delete_label(step: Step) -> None:
    label = await _the_named(step, LABEL, "label.delete")
    if await repository.has_label(step.session, label["id"]):
        raise in_use(step)
    await delete_label(step.session, row=label, expected=WHATEVER, actor=step.actor)


async def _delete_category(step: Step) -> None:
    category = await _the_named(step, CATEGORY, "category.delete")
    if await repository.has_category(step.session, category["id"]):
        raise in_use(step)
    await delete_category(step.session, row=category, plan=TasksPlan(), expected=WHATEVER, actor=step.actor)


async def _change_label(step: Step) -> None:
    label = await _the_named(step, LABEL, "label.edit")
    patch = patch_of(step, LabelPatch, step.old)
    await names.update(step.session, LABEL, row=label, patch=patch, expected=WHATEVER, actor=step.actor)


async def _change_category(step: Step) -> None:
    category = await _the_named(step, CATEGORY, "category.edit")
    patch = patch_of(step, CategoryPatch, step.old)
    await names.update(step.session, CATEGORY, row=category, patch=patch, expected=WHATEVER, actor=step.actor)


async def _the_filter(step: Step, action: Action) -> RowMapping:
    """Return the saved filter, locked. Raises NamedMissing, Forbidden."""
    row = await find_filter(step.session, caller=step.actor, filter_id=step.entity_id, lock=True)
    if row is None:
        raise NamedMissing
    allow(step, action, held_of_filter(step.actor, row))
    return row


async def _delete_filter(step: Step) -> None:
    row = await _the_filter(step, "filter.delete")
    await filters.delete_filter(step.session, row=row, expected=WHATEVER, actor=step.actor)


async def _change_filter(step: Step) -> None:
    row = await _the_filter(step, "filter.edit")
    patch = patch_of(step, FilterPatch, step.old)
    await filters.update_filter(step.session, row=row, patch=patch, expected=WHATEVER, actor=step.actor)


async def _keep_filter_again(step: Step) -> None:
    await filters.restore_filter(step.session, resource=step.resource, actor=step.actor)


async def _the_project(step: Step, action: Action, *, in_trash: bool = False, in_archive: bool = False) -> RowMapping:
    """Return the project. Raises ProjectMissing, Forbidden, ProjectArchived."""
    row = await _project(step, in_trash=in_trash)
    if row is None:
        raise ProjectMissing
    allow(step, action, held(row))
    if row["archived_at"] is not None and not in_archive:
        raise ProjectArchived
    return row


async def _project(step: Step, *, in_trash: bool) -> RowMapping | None:
    if step.project_id is None:
        return None
    return await projects_repository.find_visible(
        step.session, caller=step.actor, project_id=step.project_id, in_trash=in_trash
    )


async def _delete_status(step: Step) -> None:
    await statuses.delete_status(
        step.session,
        project=await _the_project(step, "project.edit"),
        status_id=step.entity_id,
        move_to=None,
        expected=WHATEVER,
        actor=step.actor,
    )


async def _change_status(step: Step) -> None:
    """Give a status its former name and place; tasks that followed another key or category do not go back."""
    if step.old.keys() & {"key", "category"}:
        raise impossible(step, "Tasks followed this.")
    await statuses.update_status(
        step.session,
        project=await _the_project(step, "project.edit"),
        status_id=step.entity_id,
        patch=patch_of(step, StatusPatch, step.old),
        expected=WHATEVER,
        actor=step.actor,
    )


async def _trash_made_project(step: Step) -> None:
    project = await _the_project(step, "project.delete")
    await projects_repository.lock_tree(step.session, project["workspace_id"])
    if await repository.has_something(step.session, project["id"]):
        raise in_use(step)
    await _trash(step, project)


async def _trash_project(step: Step) -> None:
    """Move a project to the trash; one that went there with the one that it is in is there."""
    if await _project(step, in_trash=True) is None:
        await _trash(step, await _the_project(step, "project.delete"))


async def _trash(step: Step, project: RowMapping) -> None:
    request = lifecycle.Request(project, step.actor, WHATEVER)
    await lifecycle.delete_project(step.session, request, permanently=False)


async def _restore_project(step: Step) -> None:
    """Take a project out of the trash; one that came out with the one that it is in is out."""
    if await _project(step, in_trash=False) is None:
        project = await _the_project(step, "project.delete", in_trash=True, in_archive=True)
        request = lifecycle.Request(project, step.actor, WHATEVER, in_trash=True)
        await lifecycle.restore_project(step.session, request)


async def _change_project(step: Step) -> None:
    if "visibility" in step.old:
        raise impossible(step, "Who sees a project is decided anew.", "visibility")
    if "archived_at" in step.old:
        await _archive_or_not(step)
        return
    await projects.update_project(
        step.session,
        project=await _the_project(step, "project.edit"),
        patch=patch_of(step, ProjectPatch, step.old),
        expected=WHATEVER,
        actor=step.actor,
    )


async def _archive_or_not(step: Step) -> None:
    project = await _the_project(step, "project.edit", in_archive=True)
    request = lifecycle.Request(project, step.actor, WHATEVER)
    if step.old["archived_at"] is None:
        await lifecycle.unarchive_project(step.session, request)
    else:
        await lifecycle.archive_project(step.session, request)


INVERSES: Mapping[str, Inverse] = {
    LABEL_CREATED: _delete_label,
    LABEL_UPDATED: _change_label,
    FILTER_CREATED: _delete_filter,
    FILTER_UPDATED: _change_filter,
    FILTER_DELETED: _keep_filter_again,
    CATEGORY_CREATED: _delete_category,
    CATEGORY_UPDATED: _change_category,
    STATUS_CREATED: _delete_status,
    STATUS_UPDATED: _change_status,
    PROJECT_CREATED: _trash_made_project,
    PROJECT_UPDATED: _change_project,
    PROJECT_DELETED: _restore_project,
    PROJECT_RESTORED: _trash_project,
}
