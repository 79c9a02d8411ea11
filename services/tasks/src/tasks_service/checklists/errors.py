from chassis.errors import Conflict, InvalidInput, NotFound


class ChecklistItemMissing(NotFound):
    """The same answer as for a task that is not there."""


class ChecklistItemNotFound(InvalidInput):
    code = "CHECKLIST_ITEM_NOT_FOUND"
    message = "There is no such item on this checklist."


class ChecklistFull(Conflict):
    code = "CHECKLIST_FULL"
    message = "A checklist has at most 200 items."
