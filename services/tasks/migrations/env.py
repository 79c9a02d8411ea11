from chassis.db.migrations import run_migrations
from tasks_service.db import SCHEMA
from tasks_service.models import METADATA

run_migrations(schema=SCHEMA, metadata=METADATA)
