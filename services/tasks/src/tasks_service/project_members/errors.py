from chassis.errors import Conflict, InvalidInput, NotFound


class UserNotFound(InvalidInput):
    code = "USER_NOT_FOUND"
    message = "The workspace has no such member."


class ProjectMemberMissing(NotFound):
    """The same answer whether somebody is no member of the project or there is no such user."""


class LastManager(Conflict):
    code = "LAST_MANAGER"
    message = "A private project keeps a manager: make somebody else one first."


class ProjectMemberLimitReached(Conflict):
    code = "PROJECT_MEMBER_LIMIT_REACHED"
    message = "The project has as many members of its own as it may have."
