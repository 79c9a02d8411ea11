"""What is made of events for the chats of workspaces and projects."""

from notifications_service.chat_posts.service import find_concerned, plan_posts
from notifications_service.following.service import Follower

CHAT = Follower("chat", plan_posts, concerns=find_concerned, gather_seconds=0.2, ask_seconds=1.0)
