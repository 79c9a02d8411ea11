"""Facts about projects."""

from sqlalchemy import RowMapping

from tasks_service.changes.schemas import ChangeDraft, differences
from tasks_service.projects.schemas import ProjectOut

PROJECT_CREATED = "project.created.v1"


def project_created(row: RowMapping) -> ChangeDraft:
    resource = ProjectOut.model_validate(dict(row)).model_dump(mode="json")
    return ChangeDraft(
        PROJECT_CREATED,
        "project",
        row["id"],
        row["version"],
        differences(None, resource),
        resource,
        audience="project",
        project_id=row["id"],
    )
