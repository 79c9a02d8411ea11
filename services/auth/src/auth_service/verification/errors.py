from chassis.errors import InvalidInput


class LinkTokenInvalid(InvalidInput):
    """The same for one that never was, was used, is too old, or was made for something else."""

    code = "LINK_TOKEN_INVALID"
    message = "This link is not valid any more: ask for a new one."
