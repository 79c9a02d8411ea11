from types import MappingProxyType

from chassis.errors import Conflict


class Blocked(Conflict):
    """`data.task_ids` are the blockers that the caller sees; `data.hidden` is how many more there are."""

    code = "BLOCKED_BY"
    message = "Other tasks have to be done first: complete them, or pass with `force=true` as a manager."
    data_example = MappingProxyType({"task_ids": ["0199d3b2-7a52-7f0e-8f3a-1d1f6c0f5a11"], "hidden": 0})
