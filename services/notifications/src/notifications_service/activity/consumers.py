"""Who walks every stream to tell people of what happens."""

from notifications_service.activity.service import find_concerned, follow, follow_together
from notifications_service.following.service import Follower

ACTIVITY = Follower(
    "activity",
    follow,
    begins="start",
    concerns=find_concerned,
    together=follow_together,
    gather_seconds=0.1,
    ask_seconds=0.5,
)
