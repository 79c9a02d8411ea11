"""Imported once by the process that all others are forked from: they start at once and share its memory."""

import gc

import alembic.command
import asyncpg
import attachments_service.cli
import auth_service.cli
import gateway.cli
import notifications_service.cli
import tasks_service.cli
import uvloop

import taskloom_cli.settings_check

PRELOADED = (
    alembic.command,
    asyncpg,
    attachments_service.cli,
    auth_service.cli,
    gateway.cli,
    notifications_service.cli,
    taskloom_cli.settings_check,
    tasks_service.cli,
    uvloop,
)

# No look for garbage before that: it took a tenth of the start, and what there is, is shared.
gc.freeze()
gc.enable()
