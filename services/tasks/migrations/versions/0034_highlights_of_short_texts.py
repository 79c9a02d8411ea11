"""Short texts are shown whole with what was found in them, and parts of longer ones with the signs at their ends."""

from alembic import op

revision = "0034"
down_revision = "0029"
branch_labels = None
depends_on = None

# What is left out beside a part is shown, too, if it is a few signs and no words. Short words are words, wherever the
# part ends. `OFFSET 0` keeps a step from being taken once for each time that its result is named.
SHORT_WHOLE = r"""
    CREATE OR REPLACE FUNCTION tasks.search_marks(words text, query tsquery, is_whole boolean) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
        SELECT CASE WHEN is_uncut OR marks = '' THEN marks
            ELSE CASE WHEN before ~ signs THEN before ELSE '…' END || marks
                || CASE WHEN after ~ signs THEN after ELSE '…' END
            END
        FROM (
            SELECT is_uncut, marks, left(bare, strpos(bare, plain) - 1) AS before,
                substr(bare, strpos(bare, plain) + length(plain)) AS after, '^[^[\:alnum\:]]{0,20}$' AS signs
            FROM (
                SELECT is_uncut, bare, marks, translate(marks, E'\uE000\uE001', '') AS plain
                FROM (
                    SELECT is_uncut, bare, CASE WHEN strpos(stems, E'\uE000') > 0 THEN stems
                        ELSE ts_headline('pg_catalog.simple', bare, query, options) END AS marks
                    FROM (
                        SELECT is_uncut, bare, options,
                            ts_headline(tasks.search_language(), bare, query, options) AS stems
                        FROM (
                            SELECT is_uncut, bare, E'StartSel=\uE000, StopSel=\uE001, '
                                || CASE WHEN is_uncut THEN 'HighlightAll=true'
                                    ELSE 'MaxFragments=1, MaxWords=30, MinWords=10, ShortWord=0' END AS options
                            FROM (
                                SELECT translate(words, E'<>\uE000\uE001\uE002\uE003', E'\uE002\uE003') AS bare,
                                    is_whole OR length(words) <= 200 AS is_uncut
                            ) AS given
                        ) AS asked
                        OFFSET 0
                    ) AS made
                    OFFSET 0
                ) AS chosen
                OFFSET 0
            ) AS shown
            OFFSET 0
        ) AS beside
    $$
"""
PARTS = r"""
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


def upgrade() -> None:
    op.execute(SHORT_WHOLE)


def downgrade() -> None:
    op.execute(PARTS)
