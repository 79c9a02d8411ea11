"""Who is told of what: one table, and every event of the tasks service is somewhere in it."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from chassis.clock import utcnow
from chassis.ids import uuid7
from notifications_service.activity.rules import LOOKS, SILENT, SILENT_NOUNS, kind_of_change, told_of
from notifications_service.cards.rules import Cards, Comment, Event, Task, Watching, excerpt_of
from notifications_service.inbox.rules import TEXTS, details_of, text_of
from notifications_service.kinds import KINDS

EVENTS = Path(__file__).parents[4] / "contracts" / "events" / "tasks"
# A stream of its own each, which no follower reads.
NOT_FOLLOWED = {"invitation_mail.requested"}
TASK, COMMENT, PROJECT, WORKSPACE = (uuid7() for _ in range(4))
MAKER, DOER, WATCHER, MUTED, LEFT, OTHER, ACTOR = PEOPLE = [uuid7() for _ in range(7)]
NAMES = dict(zip(PEOPLE, ("maker", "doer", "watcher", "muted", "left", "other", "actor"), strict=True))


def event(event_type, data=None, *, changes=(), audience=PEOPLE, actor=ACTOR, task_id=TASK, **more):
    values = {
        "id": uuid7(),
        "type": event_type,
        "seq": 7,
        "workspace_id": WORKSPACE,
        "project_id": PROJECT,
        "task_id": task_id,
        "subject": TASK if event_type.startswith("task.") else COMMENT,
        "version": 2,
        "data": data or {},
        "changes": [{"field": name, "old": old, "new": new} for name, old, new in changes],
        "actor": None if actor is None else {"type": "user", "id": str(actor), "via": "session"},
        "audience": frozenset(audience),
        "quiet": False,
        "occurred_at": utcnow(),
    }
    return Event(**{**values, **more})


def known():
    """A task of the maker that the doer is to do, which one watches, one has muted, and one watches no more."""
    data = {"created_by": str(MAKER), "assignees": [str(DOER)]}
    cards = Cards(tasks={TASK: Task(WORKSPACE, PROJECT, 1, 1, data)})
    cards.watching[TASK] = {
        WATCHER: Watching(is_watching=True),
        MUTED: Watching(is_watching=True, is_muted=True),
        LEFT: Watching(),
        ACTOR: Watching(is_watching=True),
    }
    cards.comments[COMMENT] = Comment(TASK, OTHER, "Why?")
    return cards


def told(one, cards=None):
    cards = cards or known()
    cards.apply(one)
    return {NAMES[user_id]: kind for user_id, kind in told_of(one, cards).items()}


def task_data(**changed):
    return {"created_by": str(MAKER), "assignees": [str(DOER)], **changed}


def everybody(kind, *but):
    return {name: kind for name in ("maker", "doer", "watcher") if name not in but}


def ids(*users):
    return [str(user) for user in users]


def changed(*changes, **fields):
    return event("task.updated", task_data(**fields), changes=changes)


COMMENTED = {"author_id": str(ACTOR), "body": "x", "mentions": []}
OF_OTHER = {"user_id": str(OTHER), "role": "editor"}
TABLE = [
    (event("task.created", task_data(assignees=ids(DOER, ACTOR)), version=3), {"doer": "assigned"}),
    (event("task.created", task_data(assignees=[]), version=3), {}),
    (changed(("title", "a", "b")), everybody("updated")),
    (changed(("position", "a", "b")), {}),
    (changed(("progress", {"done": 0}, {"done": 1})), {}),
    (changed(("status", "todo", "doing"), ("status_category", "todo", "in_progress")), everybody("status_changed")),
    (changed(("status", "doing", "done"), ("status_category", "todo", "done")), everybody("completed")),
    (changed(("status", "done", "todo"), ("status_category", "done", "todo")), everybody("reopened")),
    (changed(("status_category", "cancelled", "todo")), everybody("reopened")),
    (changed(("status_category", "done", "cancelled")), everybody("status_changed")),
    (changed(("status_category", "todo", "cancelled")), everybody("status_changed")),
    (changed(("due", None, {"date": "2026-12-01"}), ("title", "a", "b")), everybody("due_changed")),
    (changed(("deadline", None, "2026-12-01")), everybody("due_changed")),
    (
        changed(("assignees", ids(DOER), ids(OTHER)), assignees=ids(OTHER)),
        {"other": "assigned", "doer": "unassigned", "maker": "updated", "watcher": "updated"},
    ),
    # Who is told to do it and that it is done hears of the former.
    (
        changed(("assignees", [], ids(DOER)), ("status_category", "todo", "done")),
        {"doer": "assigned", **everybody("completed", "doer")},
    ),
    (event("task.moved", task_data()), everybody("updated")),
    (event("task.deleted", task_data()), everybody("deleted")),
    (event("task.restored", task_data()), everybody("updated")),
    (event("task.purged", task_data()), {}),
    (event("task.due_soon", task_data(), actor=None), {**everybody("due_soon"), "actor": "due_soon"}),
    (event("task.overdue", task_data(), actor=MAKER), {**everybody("overdue"), "actor": "overdue"}),
    (event("reminder.fired", {"user_id": str(MUTED)}, actor=MUTED), {"muted": "reminder"}),
    (
        event("assignee.updated", {"user_id": str(DOER), "state": "declined"}, actor=DOER),
        {
            "maker": "updated",
            "watcher": "updated",
            "actor": "updated",
        },
    ),
    (event("comment.created", COMMENTED), everybody("commented")),
    (
        event("comment.created", {**COMMENTED, "mentions": ids(OTHER, DOER, ACTOR)}),
        {
            "other": "mentioned",
            "doer": "mentioned",
            **everybody("commented", "doer"),
        },
    ),
    (event("comment.created", {**COMMENTED, "mentions": ids(MUTED)}), everybody("commented")),
    (
        event("comment.created", {**COMMENTED, "parent_id": str(COMMENT)}, subject=uuid7()),
        {
            "other": "replied",
            **everybody("commented"),
        },
    ),
    (event("comment.updated", COMMENTED, changes=[("body", "a", "b")]), {}),
    (
        event("comment.updated", COMMENTED, changes=[("mentions", ids(DOER), ids(DOER, OTHER, ACTOR))]),
        {"other": "mentioned"},
    ),
    (event("comment.deleted", {**COMMENTED, "body": None}), {}),
    (event("reaction.added", {"comment_id": str(COMMENT), "user_id": str(ACTOR)}), {"other": "reacted"}),
    (event("reaction.added", {"comment_id": str(COMMENT)}, actor=OTHER), {}),
    (event("reaction.removed", {"comment_id": str(COMMENT)}), {}),
    (event("attachment.created", {}), everybody("updated")),
    (event("task_share.added", OF_OTHER), {"other": "shared"}),
    (event("task_share.updated", OF_OTHER), {"other": "role_changed"}),
    (event("task_share.removed", OF_OTHER), {}),
    (event("project_member.added", OF_OTHER, task_id=None), {"other": "added_to_project"}),
    (event("project_member.updated", OF_OTHER, task_id=None), {"other": "role_changed"}),
    (event("project_member.removed", OF_OTHER, task_id=None), {}),
    (event("member.added", OF_OTHER, task_id=None), {"other": "added_to_workspace"}),
    (event("member.added", OF_OTHER, task_id=None, actor=OTHER), {}),
    (event("member.updated", OF_OTHER, task_id=None), {"other": "role_changed"}),
    (event("member.removed", OF_OTHER, task_id=None), {}),
    (
        event("job.updated", {"created_by": str(ACTOR)}, changes=[("status", "running", "succeeded")], task_id=None),
        {"actor": "job_finished"},
    ),
    (event("job.updated", {"created_by": str(ACTOR)}, changes=[("done", 1, 2)], task_id=None), {}),
    (event("job.updated", {"created_by": str(ACTOR)}, changes=[("status", "running", "cancelled")]), {}),
    (event("watcher.added", {"user_id": str(OTHER)}), {}),
    (event("project.updated", {"name": "P"}, task_id=None), {}),
]


@pytest.mark.parametrize(("one", "expected"), TABLE, ids=[f"{i}-{one.type}" for i, (one, _) in enumerate(TABLE)])
def test_k1_who_is_told_of_what(one, expected):
    assert told(one) == expected


def test_k1_every_event_of_the_tasks_service_has_somebody_to_tell_or_is_nobodys_news():
    types = {path.name.removesuffix(".v1.schema.json") for path in EVENTS.glob("*.schema.json")} - NOT_FOLLOWED
    undecided = {
        one for one in types if (one in LOOKS) + (one in SILENT) + (one.partition(".")[0] in SILENT_NOUNS) != 1
    }
    assert undecided == set()
    assert {one.type for one, _ in TABLE} >= set(LOOKS) | (SILENT - {"job.created", "attachment.deleted"})


def test_k1_every_kind_is_told_by_some_event_and_has_a_sentence():
    assert {kind for _, expected in TABLE for kind in expected.values()} == set(KINDS) - {
        "webhook_disabled",
        "channel_disabled",
    }
    assert set(TEXTS) == set(KINDS)


@pytest.mark.parametrize(
    "one", [one for one, expected in TABLE if expected], ids=lambda one: one.type if isinstance(one, Event) else None
)
def test_k1_nobody_outside_the_audience_is_told(one):
    assert told(Event(**{**{name: getattr(one, name) for name in Event.__slots__}, "audience": frozenset()})) == {}


def test_h2_who_could_not_see_the_task_is_no_mention_and_is_not_told():
    """The tasks service resolves mentions; whoever is not in the audience would not be told by us either."""
    one = event("comment.created", {**COMMENTED, "mentions": ids(OTHER)}, audience=set(PEOPLE) - {OTHER})
    assert told(one) == everybody("commented")


def test_who_has_ended_watching_hears_what_is_for_them_alone():
    cards = known()
    cards.watching[TASK][DOER] = Watching()
    cards.watching[TASK][MAKER] = Watching()
    assert told(changed(("title", "a", "b")), cards) == {"watcher": "updated"}
    assert told(event("comment.created", {**COMMENTED, "mentions": ids(MAKER)}), cards) == {
        "maker": "mentioned",
        "watcher": "commented",
    }


def test_of_a_task_that_nothing_is_known_of_its_watchers_hear():
    cards = known()
    del cards.tasks[TASK]
    assert told(event("comment.created", COMMENTED), cards) == {"watcher": "commented"}


def test_an_older_state_of_a_task_never_wins():
    cards = known()
    cards.apply(event("task.updated", task_data(title="new"), version=5))
    cards.apply(event("task.updated", task_data(title="old"), version=4))
    assert cards.tasks[TASK].data["title"] == "new"


def test_nothing_is_left_of_a_task_that_is_gone_for_good():
    cards = known()
    cards.apply(event("comment.created", COMMENTED))
    cards.apply(event("watcher.added", {"user_id": str(OTHER)}))
    cards.apply(event("task.purged", task_data()))
    assert (cards.tasks, dict(cards.watching), cards.comments) == ({}, {}, {})
    assert (cards.new_tasks, cards.new_watching, cards.new_comments) == (set(), set(), set())
    assert cards.purged == {TASK}


def test_a_change_of_nothing_that_counts_is_no_news():
    assert kind_of_change({}) is None
    assert kind_of_change({"completed_at": (None, "x"), "completed_by": (None, "y")}) is None


def test_an_excerpt_is_one_line_of_two_hundred_characters():
    assert excerpt_of("a\n\n b\tc ") == "a b c"
    assert excerpt_of("x" * 200) == "x" * 200
    assert excerpt_of("x" * 201) == "x" * 199 + "…"


def test_sentences():
    names = {"who": "Ann", "task": "INBOX-12 Buy milk", "project": "Home", "workspace": "Team"}
    assert text_of("assigned", "", {}, names) == "Ann assigned INBOX-12 Buy milk to you"
    assert text_of("reacted", "", {"emoji": "👍"}, names) == "Ann reacted 👍 to your comment on INBOX-12 Buy milk"
    assert text_of("commented", "", {}, {}) == "Somebody commented on a task"
    assert text_of("overdue", "", {}, {}) == "A task is overdue"
    assert text_of("updated", "task.updated", {}, names) == "Ann changed INBOX-12 Buy milk"
    assert text_of("updated", "task.moved", {}, names) == "Ann moved INBOX-12 Buy milk"
    assert text_of("updated", "attachment.created", {}, names) == "Ann added a file to INBOX-12 Buy milk"
    assert text_of("added_to_project", "", {}, names) == "Ann added you to Home"
    role = details_of("project_member.updated", {"role": "viewer"}, [])
    assert text_of("role_changed", "", role, names) == "Ann made you viewer of Home"
    job = details_of("job.updated", {"kind": "import", "status": "failed"}, [])
    assert text_of("job_finished", "", job, names) == "Your import has failed"
    # What people write is no pattern.
    assert (
        text_of("assigned", "", {}, {"who": "{task}", "task": "{0} {who.__class__}"})
        == "{task} assigned {0} {who.__class__} to you"
    )


def test_what_is_kept_of_changes_is_bounded():
    long, large = "x" * 5000, [{"n": number} for number in range(400)]
    kept = details_of(
        "task.updated",
        {},
        [{"field": "description", "old": None, "new": long}, {"field": "custom", "old": large, "new": 1}],
    )
    assert kept["changes"][0]["new"] == "x" * 199 + "…"
    assert kept["changes"][1] == {"field": "custom", "old": None, "new": 1}
    many = [{"field": f"f{number}", "old": 0, "new": 1} for number in range(50)]
    assert len(details_of("task.updated", {}, many)["changes"]) == 20
    # What a comment said is in the comment alone.
    assert details_of("comment.updated", {}, [{"field": "body", "old": "a", "new": "b"}])["changes"] == []


def test_an_event_is_read_from_its_row():
    user, gone = uuid7(), uuid7()
    row = {
        "seq": 9,
        "audience": [user, gone],
        "lost_by": [gone],
        "quiet": None,
        "occurred_at": utcnow() - timedelta(days=1),
        "frame": {
            "event_id": str(TASK),
            "type": "task.updated",
            "workspace_id": str(WORKSPACE),
            "project_id": None,
            "task_id": None,
            "subject": str(TASK),
            "version": 1,
            "data": None,
            "changes": [],
            "actor": None,
        },
    }
    one = Event.of(row)
    assert (one.audience, one.quiet, one.data, one.actor_id, one.project_id) == ({user}, False, {}, None, None)
    assert isinstance(one.id, UUID)
