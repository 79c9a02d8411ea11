from chassis.errors import Conflict, InvalidInput, NotFound


class ProjectMissing(NotFound):
    """The same answer whether the project never was, is in the trash or belongs to others."""


class ProjectArchived(Conflict):
    code = "PROJECT_ARCHIVED"
    message = "This project is archived: nothing in it changes until it is taken out of the archive."


class WorkspaceNotFound(InvalidInput):
    code = "WORKSPACE_NOT_FOUND"
    message = "There is no such workspace that you can see."


class Cycle(InvalidInput):
    code = "CYCLE"
    message = "This would put something below itself."


class TooDeep(InvalidInput):
    code = "TOO_DEEP"
    message = "This would be nested deeper than is possible."


class PrefixTaken(Conflict):
    code = "PREFIX_TAKEN"
    message = "Another project of the workspace has this prefix, or had it."


class InboxProject(Conflict):
    code = "INBOX_PROJECT"
    message = "The Inbox stays where it is: it can't be archived, deleted, moved or made private."


class ProjectLimitReached(Conflict):
    code = "PROJECT_LIMIT_REACHED"
    message = "The workspace has as many projects as it may have."
