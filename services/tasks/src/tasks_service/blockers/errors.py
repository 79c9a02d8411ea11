from chassis.errors import Conflict


class Blocked(Conflict):
    """`data.task_ids` are the blockers that the caller sees; `data.hidden` is how many more there are."""

    code = "BLOCKED_BY"
    message = "Other tasks have to be done first: complete them, or pass with `force=true` as a manager."
