from chassis.errors import Conflict


class UndoNotPossible(Conflict):
    """`errors` say of what; `data.types` are the types of the changes."""

    code = "UNDO_NOT_POSSIBLE"
    message = "This can't be turned back, so nothing of it is."


class UndoConflict(Conflict):
    """`data.conflicts` are what was changed since: `[{entity_type, entity_id, field, seq}]`."""

    code = "UNDO_CONFLICT"
    message = "This was changed since, or is undone already, so nothing is turned back."
