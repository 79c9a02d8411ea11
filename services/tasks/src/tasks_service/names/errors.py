from chassis.errors import NotFound


class NamedMissing(NotFound):
    """The same answer whether it never was, is deleted, or is hidden from the caller."""
