"""Facts about what administrators do with accounts."""

USER_DISABLED = "user.disabled.v1"
USER_ENABLED = "user.enabled.v1"
USER_ROLES_CHANGED = "user.roles_changed.v1"
