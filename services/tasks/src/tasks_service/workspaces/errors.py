from chassis.errors import Conflict, NotFound


class WorkspaceMissing(NotFound):
    """The same answer whether the workspace never was, was deleted or belongs to others."""


class LastOwner(Conflict):
    code = "LAST_OWNER"
    message = "A workspace has an owner: make somebody else one first."


class PersonalWorkspace(Conflict):
    code = "PERSONAL_WORKSPACE"
    message = "A personal workspace has one member and stays as long as its owner."
