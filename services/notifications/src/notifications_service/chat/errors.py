from chassis.errors import InvalidInput, NotFound, VersionConflict


class ConnectionMissing(NotFound):
    """The same answer whether it never was, is deleted, or is hidden from the caller."""


class TooManyConnections(InvalidInput):
    code = "TOO_MANY"
    message = "There are 20 connections to chats here, and no more than that: delete one that is not used."


class KindsOrEvents(InvalidInput):
    code = "KINDS_OR_EVENTS"
    message = "Your own connection has kinds, and one of a workspace or project events."


class ConnectionVersionConflict(VersionConflict):
    message = "This connection was changed since the version that you sent in If-Match."
