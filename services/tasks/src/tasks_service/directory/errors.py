from chassis.errors import NotFound


class DirectoryNotFound(NotFound):
    """The same answer whether the workspace never was, is deleted or belongs to others."""
