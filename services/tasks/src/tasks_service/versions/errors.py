from chassis.errors import Overtaken, VersionConflict


class ResourceVersionConflict(VersionConflict):
    """A stale If-Match; `data.current` is the resource as it is now."""


class ResourceBusy(Overtaken):
    code = "RESOURCE_BUSY"
    message = "This is being changed by many at once: try again."
