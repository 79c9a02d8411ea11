#!/bin/sh
# Runs once, when the database is made: a role for each service that owns its schema and reads no other.
set -eu

add_role() {
  psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -q \
    -v service="$1" -v password="$2" -v database="$POSTGRES_DB" <<'SQL'
CREATE ROLE :"service" LOGIN PASSWORD :'password';
GRANT CONNECT, CREATE ON DATABASE :"database" TO :"service";
CREATE SCHEMA :"service" AUTHORIZATION :"service";
SQL
}

add_role auth "$AUTH_DATABASE_PASSWORD"
add_role tasks "$TASKS_DATABASE_PASSWORD"
add_role notifications "$NOTIFICATIONS_DATABASE_PASSWORD"
add_role attachments "$ATTACHMENTS_DATABASE_PASSWORD"
# What requests of the tasks service run as: its login becomes it, and has nothing of it otherwise.
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -q \
  -c "CREATE ROLE tasks_caller NOLOGIN" -c "GRANT tasks_caller TO tasks WITH INHERIT FALSE, SET TRUE"
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -q \
  -c "REVOKE CONNECT, TEMPORARY ON DATABASE \"$POSTGRES_DB\" FROM PUBLIC"
