from chassis.errors import Conflict, InvalidInput


class VersionNotFound(InvalidInput):
    code = "VERSION_NOT_FOUND"
    message = "The task never had this version."


class RevertConflict(Conflict):
    """`errors` are the fields that can't be as they were."""

    code = "REVERT_CONFLICT"
    message = "The task can't be as it was: what it was is there no more."
