"""Who may manage a workspace's service accounts."""

ADMINISTRATORS = frozenset({"owner", "admin"})


def may_administer(role: str) -> bool:
    """Tell whether a member with this role may manage service accounts."""
    return role in ADMINISTRATORS
