from chassis.errors import Conflict, InvalidInput, NotFound, VersionConflict


class WebhookMissing(NotFound):
    """The same answer whether it never was, is deleted, or is hidden from the caller."""

    message = "There is no such webhook that you can see."


class ScopeNotFound(InvalidInput):
    code = "SCOPE_NOT_FOUND"
    message = "There is no such workspace or project that you can see."


class TooManyWebhooks(Conflict):
    code = "TOO_MANY_WEBHOOKS"
    message = "There are 20 webhooks here, and there are no more than that: delete one first."


class WebhookDisabled(Conflict):
    code = "WEBHOOK_DISABLED"
    message = "This webhook is disabled: enable it first."


class WebhookVersionConflict(VersionConflict):
    message = "This webhook was changed since the version that you sent in If-Match."
