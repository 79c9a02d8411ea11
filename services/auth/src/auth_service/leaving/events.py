"""Facts about accounts that are left, taken back and deleted."""

USER_DEACTIVATED = "user.deactivated.v1"
USER_DELETION_SCHEDULED = "user.deletion_scheduled.v1"
USER_REACTIVATED = "user.reactivated.v1"
USER_DELETED = "user.deleted.v1"
