"""What a caller may do with something with a name that it sees."""

from chassis.identity import Principal
from sqlalchemy import RowMapping

from tasks_service.permissions.schemas import Held


def held(caller: Principal, row: RowMapping) -> Held:
    """Return what a caller has in a row, which is its own when it is personal."""
    return Held(row["workspace_role"], row["workspace_id"], is_own=row["owner_id"] == caller.user_id)
