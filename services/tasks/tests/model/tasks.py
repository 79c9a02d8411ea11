"""What tasks are, in plain Python without a database: what the state machine holds the service against.

It is written from what the API says of itself, and knows nothing of the code of the service.
"""

import json
from dataclasses import dataclass, field

STATUSES = {
    "todo": "todo",
    "in_progress": "in_progress",
    "done": "done",
    "cancelled": "cancelled",
    "shipped": "done",
}
OPEN = {"todo", "in_progress"}
MEMBERS = ("owner", "editor", "member", "viewer")
EDITORS = {"owner", "editor", "member"}
DERIVED = {"progress", "status_category", "completed_at", "completed_by"}
DEFAULTS = {
    "description": None,
    "status": "todo",
    "priority": "none",
    "parent_id": None,
    "start": None,
    "due": None,
    "deadline": None,
    "estimate_minutes": None,
    "completion_policy": "any",
    "reopen_on_assign": False,
    "custom": {},
}
MAX_DEPTH = 5


class Refused(Exception):
    """An answer that is an error; `fields` are named by a 412."""

    def __init__(self, status, code, fields=()):
        super().__init__(status, code, fields)
        self.status = status
        self.code = code
        self.fields = sorted(fields)


@dataclass
class Expected:
    """What a caller says of the version that its change is for."""

    version: int | None = None
    merges: bool = False


@dataclass(eq=False)
class Task:
    id: str
    number: int
    created_by: str
    fields: dict
    answers: dict = field(default_factory=dict)
    done: int = 0
    total: int = 0
    completed_by: str | None = None
    version: int = 0
    is_deleted: bool = False
    deleted_with: str | None = None
    log: list = field(default_factory=list)
    answers_logged: int = 0

    @property
    def category(self):
        return STATUSES[self.fields["status"]]

    @property
    def assignees(self):
        return list(self.answers)

    def shown(self):
        """Return what the API shows; instants are only told to be there or not."""
        return {
            **self.fields,
            "key": f"P-{self.number}",
            "position": f"n{self.number:010}V",
            "created_by": self.created_by,
            "status_category": self.category,
            "progress": {"done": self.done, "total": self.total},
            "assignees": self.assignees,
            "assigned_to": self.assignees[0] if self.answers else None,
            "completed_at": self.category == "done",
            "completed_by": self.completed_by,
            "deleted_at": self.is_deleted,
        }

    def changed_since(self, version):
        return {name for at, names in self.log if at > version for name in names}


def same(one, other):
    """Compare as JSON does, where 1 is not true."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def merged(value, patch):
    """Merge as RFC 7396 says."""
    if not isinstance(patch, dict):
        return patch
    kept = value if isinstance(value, dict) else {}
    names = [name for name in {**kept, **patch} if patch.get(name, 0) is not None]
    return {name: merged(kept.get(name), patch[name]) if name in patch else kept[name] for name in names}


class World:
    """All tasks of one project. Whatever is refused is so before anything is changed."""

    def __init__(self):
        self.tasks = {}

    def live(self):
        return [task for task in self.tasks.values() if not task.is_deleted]

    # What callers do.

    def create(self, caller, fields, *, task_id):
        if caller not in MEMBERS:
            raise Refused(422, "PROJECT_NOT_FOUND")
        if caller not in EDITORS:
            raise Refused(403, "FORBIDDEN")
        wanted = {**DEFAULTS, **fields}
        people = wanted.pop("assignees", [])
        if not in_order(wanted):
            raise Refused(422, "DATES_OUT_OF_ORDER")
        if wanted["parent_id"] is not None:
            self._check_place(wanted["parent_id"], None)
        self._check_access(people)
        task = Task(task_id, len(self.tasks) + 1, caller, wanted, dict.fromkeys(people, "pending"))
        task.completed_by = caller if task.category == "done" else None
        task.version = 1
        task.log.append((1, None))
        self.tasks[task_id] = task
        self._recount(task.fields["parent_id"])
        return task

    def update(self, caller, task_id, given, expected, children="fail"):
        task = self._writable(caller, task_id)
        custom = {"custom": merged(task.fields["custom"], given["custom"])} if "custom" in given else {}
        return self.replace(caller, task_id, {**given, **custom}, expected, children)

    def replace(self, caller, task_id, given, expected, children="fail"):
        task = self._writable(caller, task_id)
        wanted = dict(given)
        if wanted.keys() & {"assignees", "assigned_to"}:
            if "assignees" not in wanted:
                primary = wanted["assigned_to"]
                wanted["assignees"] = [primary, *without(task.assignees, primary)] if primary else []
            wanted = {**self._assignment(task, wanted["assignees"]), **wanted}
        return self._change(caller, task, wanted, expected, children)

    def delete(self, caller, task_id, expected):
        task = self._writable(caller, task_id)
        self._refuse_stale(task, set(), expected)
        for one in self._below(task):
            self._write(one, is_deleted=True, deleted_with=task.id)
        self._write(task, is_deleted=True)
        self._recount(task.fields["parent_id"])
        return task

    def restore(self, caller, task_id):
        task = self._seen(caller, task_id, in_trash=True)
        if caller not in EDITORS:
            raise Refused(403, "FORBIDDEN")
        group = task.deleted_with or task.id
        rows = [one for one in self._below(task, in_trash=True) if one.deleted_with == group]
        parent_id = task.fields["parent_id"]
        if parent_id is not None and self.tasks[parent_id].is_deleted:
            parent_id = None
        for one in rows:
            self._write(one, is_deleted=False, deleted_with=None)
        self._write(task, is_deleted=False, deleted_with=None, parent_id=parent_id)
        for one in [*(row.id for row in rows), task.id, parent_id]:
            self._recount(one)
        return task

    def assign(self, caller, task_id, people, expected):
        """Make these the assignees; `people` is a function of those who are."""
        task = self._writable(caller, task_id)
        return self._change(caller, task, self._assignment(task, people(task.assignees)), expected)

    def answer(self, caller, task_id, user, state):
        task = self._seen(caller, task_id)
        if caller not in EDITORS and (caller not in task.answers or user != caller):
            raise Refused(403, "FORBIDDEN")
        if user not in task.answers:
            raise Refused(404, "NOT_FOUND")
        if task.answers[user] == state:
            return task
        status = after_answers(task, {**task.answers, user: state}.values())
        if status is not None:
            self._change(caller, task, {"status": status}, Expected())
        task.answers[user] = state
        task.answers_logged += 1
        return task

    def read(self, caller, task_id):
        return self._seen(caller, task_id)

    # What follows.

    def _seen(self, caller, task_id, *, in_trash=False):
        task = self.tasks.get(task_id)
        if caller not in MEMBERS or task is None or task.is_deleted is not in_trash:
            raise Refused(404, "NOT_FOUND")
        return task

    def _writable(self, caller, task_id):
        task = self._seen(caller, task_id)
        if caller not in EDITORS:
            raise Refused(403, "FORBIDDEN")
        return task

    def _change(self, caller, task, wanted, expected, children="fail"):
        before, people = task.category, task.assignees
        parent_id = task.fields["parent_id"]
        if wanted.get("parent_id") not in {None, parent_id}:
            self._check_place(wanted["parent_id"], task)
        self._refuse_stale(task, wanted.keys(), expected)
        shown = task.shown()
        changed = {name: value for name, value in wanted.items() if not same(shown[name], value)}
        if not changed:
            return task
        if not in_order({**task.fields, **changed}):
            raise Refused(422, "DATES_OUT_OF_ORDER")
        completes = before != "done" and STATUSES[changed.get("status", task.fields["status"])] == "done"
        if completes and children == "fail" and any(one.category in OPEN for one in self._below(task)):
            raise Refused(409, "OPEN_SUBTASKS")
        new = [one for one in changed.get("assignees", ()) if one not in people]
        self._check_access(new)
        if completes and children == "complete":
            self._complete_below(caller, task, changed["status"])
        self._write(task, by=caller, counts=completes and children == "complete", **changed)
        if not new and before not in OPEN and task.category in OPEN:
            self._ask_again(task)
        for one in dict.fromkeys((parent_id, task.fields["parent_id"])):
            self._recount(one)
        return task

    def _write(self, task, *, by=None, counts=False, **changed):
        """Change one task once: a version, and the fields that are others then."""
        before, was = task.shown(), task.category
        for name, value in changed.items():
            if name in task.fields:
                task.fields[name] = value
            elif name in {"is_deleted", "deleted_with"}:
                setattr(task, name, value)
        if "assignees" in changed:
            task.answers = {one: task.answers.get(one, "pending") for one in changed["assignees"]}
        if task.category != was and "done" in {task.category, was}:
            task.completed_by = by if task.category == "done" else None
        if counts:
            task.done, task.total = self._counts(task)
        task.version += 1
        after = task.shown()
        task.log.append((task.version, {name for name in after if not same(before[name], after[name])}))

    def _complete_below(self, caller, task, status):
        rows = self._below(task)
        is_open = {one.id for one in rows if one.category in OPEN}
        # From the leaves up, so that each is counted when those below it are done.
        for one in reversed(rows):
            if one.id in is_open or one.done < one.total:
                self._write(one, by=caller, counts=True, **({"status": status} if one.id in is_open else {}))

    def _ask_again(self, task):
        for user, state in task.answers.items():
            if state == "done":
                task.answers[user] = "pending"
                task.answers_logged += 1

    def _assignment(self, task, people):
        """Return what a task's fields become with these assignees."""
        wanted = {"assignees": people, "assigned_to": people[0] if people else None}
        status = None
        if set(people) - set(task.assignees) and task.fields["completion_policy"] == "all" and task.category == "done":
            status = "todo" if task.fields["reopen_on_assign"] else None
        elif set(task.assignees) - set(people):
            status = after_answers(task, [task.answers.get(one, "pending") for one in people])
        return wanted if status is None else {**wanted, "status": status}

    def _check_access(self, people):
        if any(one not in MEMBERS for one in people):
            raise Refused(422, "ASSIGNEE_NO_ACCESS")

    def _check_place(self, parent_id, task):
        parent = self.tasks.get(parent_id)
        if parent is None or parent.is_deleted:
            raise Refused(422, "PARENT_NOT_FOUND")
        chain = [parent]
        while chain[-1].fields["parent_id"] is not None:
            chain.append(self.tasks[chain[-1].fields["parent_id"]])
        if task in chain:
            raise Refused(422, "CYCLE")
        if len(chain) + self._height(task) > MAX_DEPTH:
            raise Refused(422, "TOO_DEEP")

    def _height(self, task):
        if task is None:
            return 0
        return max((1 + self._height(one) for one in self._children(task)), default=0)

    def _refuse_stale(self, task, names, expected):
        if expected.version is None or expected.version == task.version:
            return
        since = task.changed_since(expected.version) if expected.version < task.version else set()
        fields = since - DERIVED
        if expected.merges:
            fields &= set(names)
        if fields or not since:
            raise Refused(412, "VERSION_CONFLICT", fields)

    def _children(self, task):
        return [one for one in self.tasks.values() if one.fields["parent_id"] == task.id]

    def _below(self, task, *, in_trash=False):
        found = []
        for one in self._children(task):
            if one.is_deleted is in_trash:
                found += [one, *self._below(one, in_trash=in_trash)]
        return found

    def _counts(self, task):
        counted = [one for one in self._children(task) if not one.is_deleted and one.category != "cancelled"]
        return sum(one.category == "done" for one in counted), len(counted)

    def _recount(self, task_id):
        task = self.tasks.get(task_id)
        if task is not None and self._counts(task) != (task.done, task.total):
            self._write(task, counts=True)


def without(people, user):
    return [one for one in people if one != user]


def in_order(fields):
    days = [fields[name] for name in ("start", "due", "deadline") if fields[name] is not None]
    return days == sorted(days)


def after_answers(task, states):
    """Return the status that an open task gets when these are the answers of its assignees."""
    policy, states = task.fields["completion_policy"], list(states)
    done = states.count("done")
    if policy == "any":
        satisfied = done > 0
    elif policy == "all":
        satisfied = done > 0 and "pending" not in states
    else:
        satisfied = done >= int(policy.removeprefix("quorum:"))
    return "done" if satisfied and task.category in OPEN else None
