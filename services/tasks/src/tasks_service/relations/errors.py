from chassis.errors import InvalidInput, NotFound

from tasks_service.subtasks.errors import Cycle


class RelationMissing(NotFound):
    """The same answer whether it never was, is of another task, or leads to one that the caller does not see."""


class RelatedTaskNotFound(InvalidInput):
    code = "TASK_NOT_FOUND"
    message = "There is no such task in this workspace that you can see."


class SelfRelation(InvalidInput):
    code = "SELF_RELATION"
    message = "A task has no relation to itself."


class TooManyRelations(InvalidInput):
    code = "TOO_MANY"
    message = "A task has at most 100 relations."


class RelationCycle(Cycle):
    message = "What blocks or precedes would go in a circle."
