"""What a caller may do with a saved filter that it sees."""

from chassis.identity import Principal
from sqlalchemy import RowMapping

from tasks_service.permissions.schemas import Held


def held(caller: Principal, row: RowMapping) -> Held:
    """Return what a caller has in a saved filter, which is its maker's own, shared or not."""
    return Held(row["workspace_role"], row["workspace_id"], is_own=row["created_by"] == caller.user_id)
