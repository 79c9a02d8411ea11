from chassis.errors import Conflict, NotFound


class ProjectMissing(NotFound):
    """The same answer whether the project never was, is in the trash or belongs to others."""


class ProjectArchived(Conflict):
    code = "PROJECT_ARCHIVED"
    message = "This project is archived: nothing in it changes until it is taken out of the archive."
