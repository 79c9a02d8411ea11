"""The names of what will be told when a task is due: consumers know them before anything sends them."""

TASK_DUE_SOON = "task.due_soon.v1"
TASK_OVERDUE = "task.overdue.v1"
