from types import MappingProxyType

from chassis.errors import Conflict


class UndoNotPossible(Conflict):
    """`errors` say of what; `data.types` are the types of the changes."""

    code = "UNDO_NOT_POSSIBLE"
    message = "This can't be turned back, so nothing of it is."
    data_example = MappingProxyType({"types": ["member.removed"]})


class UndoConflict(Conflict):
    """`data.conflicts` are what was changed since: `[{entity_type, entity_id, field, seq}]`."""

    code = "UNDO_CONFLICT"
    message = "This was changed since, or is undone already, so nothing is turned back."
    data_example = MappingProxyType(
        {
            "conflicts": [
                {
                    "entity_type": "task",
                    "entity_id": "0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11",
                    "field": "title",
                    "seq": 42,
                }
            ]
        }
    )
