from attachments_service.db import SCHEMA
from attachments_service.models import METADATA
from chassis.db.migrations import run_migrations

run_migrations(schema=SCHEMA, metadata=METADATA)
