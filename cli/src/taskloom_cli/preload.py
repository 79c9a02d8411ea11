"""Imported once by the process that all others are forked from: they start at once and share its memory."""

import gc

import alembic.command
import asyncpg
import attachments_service.cli
import attachments_service.main
import auth_service.cli
import auth_service.main
import gateway.cli
import notifications_service.cli
import notifications_service.main
import tasks_service.cli
import tasks_service.main
import uvloop

import taskloom_cli.settings_check

PRELOADED = (
    alembic.command,
    asyncpg,
    attachments_service.cli,
    attachments_service.main,
    auth_service.cli,
    auth_service.main,
    gateway.cli,
    notifications_service.cli,
    notifications_service.main,
    taskloom_cli.settings_check,
    tasks_service.cli,
    tasks_service.main,
    uvloop,
)

# No look for garbage before that: it took a tenth of the start, and what there is, is shared.
gc.freeze()
gc.enable()
