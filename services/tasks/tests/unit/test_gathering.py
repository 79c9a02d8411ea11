"""What is gathered by an operation that is rolled back is forgotten."""

from chassis.ids import uuid7
from tasks_service.changes.schemas import ChangeDraft, Gathering


def draft(version):
    return ChangeDraft("task.updated.v1", "task", uuid7(), version, (), {}, "task")


def test_what_came_since_a_mark_is_forgotten_with_its_reasons():
    gathering, workspace_id = Gathering(["first"]), uuid7()
    kept, gone = draft(1), draft(2)
    gathering.add(workspace_id, [kept], None)
    mark = gathering.mark()
    gathering.add(workspace_id, [gone], "second")
    assert gathering.since(mark) == [gone]
    gathering.back_to(mark)
    assert (gathering.drafts, gathering.reasons, gathering.since(mark)) == ([(workspace_id, kept)], ["first"], [])
