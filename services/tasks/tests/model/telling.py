"""Whether all that lists are made of was written together with an entry of the log of its workspace (ADR 19).

Pages and totals are kept while the heads of the logs stand. So a commit that changes what somebody may see and moves no
head would be seen by nobody who has looked before, for minutes.
"""

import asyncio

import asyncpg

TABLES = ("task", "project", "member", "project_member", "task_share")
"""What lists of tasks are read from; what else they read, the caller's zone, is asked for each time."""
# Nobody sees a workspace without members, or that is deleted, nor a project that is deleted for good; the number that
# comes next is shown nowhere; what tests write by hand is theirs (testkit.by_hand). A head has moved if the newest
# version of its row is this transaction's own, which alone is under way, and no row of a head is written in vain.
GUARD = """
CREATE TABLE public.untold (of_table text, operation text, fields text);
CREATE FUNCTION public.note_untold() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    former jsonb := CASE WHEN TG_OP = 'INSERT' THEN '{}' ELSE to_jsonb(OLD) - 'next_number' END;
    written jsonb := CASE WHEN TG_OP = 'DELETE' THEN '{}' ELSE to_jsonb(NEW) - 'next_number' END;
    era bigint := pg_current_xact_id()::text::bigint & ~4294967295::bigint;
BEGIN
    IF former = written OR coalesce(current_setting('tests.by_hand', true), '') = 'on'
        OR (TG_OP = 'DELETE' AND former ->> 'purged_at' IS NOT NULL)
    THEN
        RETURN NULL;
    END IF;
    INSERT INTO public.untold
    SELECT TG_TABLE_NAME, TG_OP, (
        SELECT string_agg(key, ', ' ORDER BY key)
        FROM jsonb_object_keys(former || written) AS key WHERE former -> key IS DISTINCT FROM written -> key
    )
    FROM tasks.workspace AS place
    WHERE place.id IN ((former ->> 'workspace_id')::uuid, (written ->> 'workspace_id')::uuid)
        AND place.deleted_at IS NULL AND EXISTS (SELECT FROM tasks.member WHERE workspace_id = place.id)
        AND NOT EXISTS (
            SELECT FROM tasks.change_counter WHERE workspace_id = place.id
                AND pg_xact_status((era | xmin::text::bigint)::text::xid8) = 'in progress'
        );
    RETURN NULL;
END
$$;
CREATE FUNCTION public.refuse_vain() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a head is written and does not move';
END
$$;
CREATE TRIGGER refuse_vain BEFORE UPDATE ON tasks.change_counter
FOR EACH ROW WHEN (OLD.last_seq = NEW.last_seq) EXECUTE FUNCTION public.refuse_vain();
"""
TRIGGER = """
CREATE CONSTRAINT TRIGGER note_untold AFTER INSERT OR UPDATE OR DELETE ON tasks.{}
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.note_untold();
"""


async def watch(url):
    """Have the database note whatever is committed without an entry of the log."""
    connection = await asyncpg.connect(url)
    await connection.execute(GUARD + "".join(TRIGGER.format(name) for name in TABLES))
    await connection.close()


async def untold(url):
    """Return what was, as tables, operations and fields."""
    connection = await asyncpg.connect(url)
    found = await connection.fetch("SELECT DISTINCT of_table, operation, fields FROM public.untold")
    await connection.close()
    return sorted(tuple(one) for one in found)


def begin(settings):
    """Watch the database of a run of the tests."""
    asyncio.run(watch(settings.url.get_secret_value()))


def hold(settings):
    """Raise AssertionError for what was written and not told."""
    found = asyncio.run(untold(settings.url.get_secret_value()))
    assert not found, f"Written without an entry of the log, so that pages that are kept would not show it: {found}"
