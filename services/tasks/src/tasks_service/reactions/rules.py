"""What one can react with."""

import emoji

MAX_DISTINCT = 20


def as_emoji(text: str) -> str | None:
    """Return an emoji as it is kept, fully qualified: `❤` is the same as `❤️`. None for what is not one emoji."""
    if not emoji.is_emoji(text):
        return None
    return emoji.emojize(emoji.demojize(text))
