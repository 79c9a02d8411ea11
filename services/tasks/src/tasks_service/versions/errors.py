from chassis.errors import ServiceUnavailable, VersionConflict


class ResourceVersionConflict(VersionConflict):
    """A stale If-Match; `data.current` is the resource as it is now."""


class ResourceBusy(ServiceUnavailable):
    code = "RESOURCE_BUSY"
    message = "This is being changed by many at once: try again."
