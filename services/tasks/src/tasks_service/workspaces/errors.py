from chassis.errors import Conflict, InvalidInput, NotFound


class WorkspaceMissing(NotFound):
    """The same answer whether the workspace never was, was deleted or belongs to others."""


class LastOwner(Conflict):
    code = "LAST_OWNER"
    message = "A workspace has an owner whose account is in use: make somebody else one first."


class PersonalWorkspace(Conflict):
    code = "PERSONAL_WORKSPACE"
    message = "A personal workspace has one member and stays as long as its owner."


class WorkspaceNotFound(InvalidInput):
    code = "WORKSPACE_NOT_FOUND"
    message = "There is no such workspace that you can see."
