from chassis.errors import InvalidInput, NotFound


class AssigneeMissing(NotFound):
    """The same answer as for a task that is not there."""


class AssigneeNoAccess(InvalidInput):
    code = "ASSIGNEE_NO_ACCESS"
    message = "This is nobody who can see the task."


class TooManyAssignees(InvalidInput):
    code = "TOO_MANY"
    message = "A task has at most 20 assignees."
