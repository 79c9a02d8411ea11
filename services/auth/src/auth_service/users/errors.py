from chassis.errors import Conflict, InvalidInput, VersionConflict


class EmailTaken(Conflict):
    code = "EMAIL_TAKEN"
    message = "There is an account with this address already."


class EmailInvalid(InvalidInput):
    code = "EMAIL_INVALID"
    message = "This is not a valid e-mail address."


class ProfileVersionConflict(VersionConflict):
    """A stale If-Match; `data.current` is the profile as it is now."""
