from chassis.db.migrations import run_migrations
from notifications_service.db import SCHEMA
from notifications_service.models import METADATA

run_migrations(schema=SCHEMA, metadata=METADATA)
