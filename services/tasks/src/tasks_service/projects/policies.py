"""What a caller has in a project that it sees."""

from sqlalchemy import RowMapping

from tasks_service.permissions.schemas import Held


def held(row: RowMapping) -> Held:
    """Return what a caller has in the project of a row."""
    return Held(row["role"], row["workspace_id"], row["id"])
