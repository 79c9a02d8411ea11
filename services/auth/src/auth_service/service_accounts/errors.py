from chassis.errors import NotFound, VersionConflict


class ServiceAccountNotFound(NotFound):
    """The same answer whether there is no such account, or no such workspace, or the caller is no member of it."""


class ServiceAccountVersionConflict(VersionConflict):
    """A stale If-Match; `data.current` is the account as it is now."""
