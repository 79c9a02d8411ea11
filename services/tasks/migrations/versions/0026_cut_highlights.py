"""Parts of texts that are shown with what was found say where they are cut."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

# A part is cut where more than marks of punctuation are left out of it. `OFFSET 0` keeps a step from being taken once
# for each time that its result is named.
CUT = r"""
    CREATE OR REPLACE FUNCTION tasks.search_marks(words text, query tsquery, is_whole boolean) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
        SELECT CASE WHEN is_whole OR marks = '' THEN marks
            ELSE repeat('…', (ltrim(split_part(bare, plain, 1), edge) <> '')::integer) || marks
                || repeat('…', (rtrim(substr(bare, strpos(bare, plain) + length(plain)), edge) <> '')::integer)
            END
        FROM (
            SELECT bare, marks, translate(marks, E'\uE000\uE001', '') AS plain, E' \t\r\n.,;\:!?…"''()*_-' AS edge
            FROM (
                SELECT bare, CASE WHEN strpos(stems, E'\uE000') > 0 THEN stems
                    ELSE ts_headline('pg_catalog.simple', bare, query, options) END AS marks
                FROM (
                    SELECT bare, options, ts_headline(tasks.search_language(), bare, query, options) AS stems
                    FROM (
                        SELECT translate(words, E'<>\uE000\uE001\uE002\uE003', E'\uE002\uE003') AS bare,
                            E'StartSel=\uE000, StopSel=\uE001, ' || CASE WHEN is_whole THEN 'HighlightAll=true'
                                ELSE 'MaxFragments=1, MaxWords=30, MinWords=10' END AS options
                    ) AS given
                    OFFSET 0
                ) AS made
                OFFSET 0
            ) AS chosen
            OFFSET 0
        ) AS shown
    $$
"""
UNCUT = r"""
    CREATE OR REPLACE FUNCTION tasks.search_marks(words text, query tsquery, is_whole boolean) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
        SELECT CASE WHEN strpos(stems, E'\uE000') > 0 THEN stems
            ELSE ts_headline('pg_catalog.simple', bare, query, options) END
        FROM (
            SELECT bare, options, ts_headline(tasks.search_language(), bare, query, options) AS stems
            FROM (
                SELECT translate(words, E'<>\uE000\uE001\uE002\uE003', E'\uE002\uE003') AS bare,
                    E'StartSel=\uE000, StopSel=\uE001, ' || CASE WHEN is_whole THEN 'HighlightAll=true'
                        ELSE 'MaxFragments=1, MaxWords=30, MinWords=10' END AS options
            ) AS given
        ) AS made
    $$
"""


def upgrade() -> None:
    op.execute(CUT)


def downgrade() -> None:
    op.execute(UNCUT)
