"""How much a search finds is estimated of the query that is asked, with beginnings of words: they find far more."""

from alembic import op

revision = "0030"
down_revision = "0033"
branch_labels = None
depends_on = None

OF_QUERY = r"""
    CREATE OR REPLACE FUNCTION tasks.search_estimate(q text) RETURNS double precision LANGUAGE plpgsql
    AS $$
    DECLARE
        plan json;
    BEGIN
        EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM tasks.search_document WHERE vector @@ %L\:\:tsquery',
            tasks.search_query(q)) INTO plan;
        RETURN plan->0->'Plan'->>'Plan Rows';
    END $$
"""
OF_WORDS = r"""
    CREATE OR REPLACE FUNCTION tasks.search_estimate(q text) RETURNS double precision LANGUAGE plpgsql
    AS $$
    DECLARE
        plan json;
    BEGIN
        EXECUTE format('EXPLAIN (FORMAT JSON) SELECT FROM tasks.search_document WHERE vector @@ %L\:\:tsquery',
            websearch_to_tsquery('pg_catalog.simple', translate(q, '<>', '  '))) INTO plan;
        RETURN plan->0->'Plan'->>'Plan Rows';
    END $$
"""


def upgrade() -> None:
    op.execute(OF_QUERY)


def downgrade() -> None:
    op.execute(OF_WORDS)
