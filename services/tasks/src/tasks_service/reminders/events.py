"""The name of what will be told of reminders: consumers know it before anything sends it."""

REMINDER_FIRED = "reminder.fired.v1"
