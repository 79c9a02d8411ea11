#!/bin/sh
# Runs once, when the database is made: a role for each service that owns its schema and reads no other.
set -eu
for service in auth tasks notifications attachments; do
  psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -q \
    -v service="$service" -v password="$SERVICE_DATABASE_PASSWORD" -v database="$POSTGRES_DB" <<'SQL'
CREATE ROLE :"service" LOGIN PASSWORD :'password';
GRANT CONNECT, CREATE ON DATABASE :"database" TO :"service";
CREATE SCHEMA :"service" AUTHORIZATION :"service";
SQL
done
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" -q \
  -c "REVOKE CONNECT, TEMPORARY ON DATABASE \"$POSTGRES_DB\" FROM PUBLIC"
