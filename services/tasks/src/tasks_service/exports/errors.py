from chassis.errors import NotFound


class ExportMissing(NotFound):
    """The same answer whether there never was such an export, it is another's, or its time or its link's is over."""
