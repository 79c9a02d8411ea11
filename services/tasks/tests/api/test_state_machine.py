"""10,000 steps of tasks, assignees, versions and idempotency, held against a plain Python model after each of them."""

import json
import runpy
import sys
from pathlib import Path

import pytest
from chassis.ids import uuid7
from hypothesis import HealthCheck, Phase
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

FOLDER = Path(__file__).parents[1] / "model"
MODEL = runpy.run_path(str(FOLDER / "tasks.py"))
ASKING = runpy.run_path(str(FOLDER / "asking.py"))
Service, SETUP, ROLES = ASKING["Service"], ASKING["SETUP"], ASKING["ROLES"]
World, Expected, Refused, STATUSES = MODEL["World"], MODEL["Expected"], MODEL["Refused"], MODEL["STATUSES"]

# An example has 41 steps on average.
EXAMPLES, STEPS, WANTED = 262, 50, 10_000
DAYS = st.sampled_from([None, *(f"2026-12-0{day}" for day in range(1, 5))])
VALUES = {
    "title": st.sampled_from(["a", "b", "c"]),
    "description": st.sampled_from([None, "x", "y"]),
    "status": st.sampled_from([*STATUSES, "todo", "done"]),
    "priority": st.sampled_from(["none", "low", "high"]),
    "start": DAYS,
    "due": DAYS,
    "deadline": DAYS,
    "estimate_minutes": st.sampled_from([None, 0, 30]),
    "completion_policy": st.sampled_from(["any", "all", "all", "quorum:1", "quorum:2"]),
    "reopen_on_assign": st.booleans(),
    "custom": st.sampled_from(
        [{}, {"a": 1}, {"a": True}, {"a": 0}, {"a": None}, {"a": {"b": None}}, {"a": {"c": 1}}, {"b": [1, None]}]
    ),
}
INSIDER = st.sampled_from(["owner", "member", "editor", "viewer"])
SOMEBODY = st.sampled_from(["owner", "member", "editor", "viewer", "owner", "member", "editor", "viewer", "stranger"])
PEOPLE = st.lists(SOMEBODY, max_size=3, unique=True)
CALLER = st.sampled_from(["owner", "member", "editor"] * 4 + ["viewer", "stranger"])
FIELDS = st.lists(st.sampled_from(sorted(VALUES)), max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: VALUES[name] for name in names})
)
ASSIGNED = st.one_of(
    st.just({}),
    st.just({}),
    st.fixed_dictionaries({"assignees": PEOPLE}),
    st.fixed_dictionaries({"assigned_to": st.none() | SOMEBODY}),
)
CHILDREN = st.sampled_from([None, None, "fail", "leave", "complete"])
PICK = st.integers(0, 30)
MATCH = st.sampled_from([None, None, "*", "current", "current", -1, -2, -3, 1])

UNTOUCHED = {"category_id": None, "labels": [], "external_source": None, "external_id": None}
LOG = "SELECT seq, type, entity_id FROM tasks.change WHERE workspace_id = :w ORDER BY seq"


class Tasks(RuleBasedStateMachine):
    service = None
    steps = ended = 0

    def __init__(self):
        super().__init__()
        self.ids = {name: uuid7() for name in (*ROLES, "stranger")}
        self.names = {str(user_id): name for name, user_id in self.ids.items()}
        self.headers = {name: self.service.gateway.headers(user_id) for name, user_id in self.ids.items()}
        self.workspace_id, self.project_id = uuid7(), uuid7()
        self.service.rows(*SETUP, w=self.workspace_id, p=self.project_id, **self.ids)
        self.world = World()
        self.keyed = []

    # How the service is asked, and held against the model.

    def ask(self, caller, method, path, body=None, **headers):
        type(self).steps += 1
        sent = {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        return self.service.ask(method, path, body=body, headers={**self.headers[caller], **sent})

    def agree(self, answer, change, *, status=200):
        """Do in the model what was asked of the service, and compare; return the task, or None for a refusal."""
        task = refused = None
        try:
            task = change()
        except Refused as found:
            refused = found
        if refused is not None:
            errors = answer.json()["errors"]
            assert (answer.status_code, errors[0]["code"]) == (refused.status, refused.code), answer.text
            named = [one["field"] for one in errors if one["field"]]
            assert named == refused.fields or refused.status != 412
            return None
        assert answer.status_code == status, answer.text
        assert answer.headers["etag"] == f'"{task.version}"'
        return task

    def agree_on_task(self, answer, change, *, status=200):
        task = self.agree(answer, change, status=status)
        if task is not None:
            assert self.plain(answer.json()["data"]) == self.full(task)
        elif answer.status_code == 412:
            current = self.plain(answer.json()["data"]["current"])
            assert current == self.full(self.world.tasks[current["id"]])
        return task

    def full(self, task):
        place = {"workspace_id": str(self.workspace_id), "project_id": str(self.project_id)}
        full = {**task.shown(), **place, **UNTOUCHED, "id": task.id, "version": task.version}
        return {**full, "custom": json.dumps(full["custom"], sort_keys=True)}

    def plain(self, data):
        """Return a resource in the words of the model: people by name, of instants whether they are there."""
        return {
            **{name: value for name, value in data.items() if name not in {"created_at", "updated_at"}},
            "custom": json.dumps(data["custom"], sort_keys=True),
            "assignees": [self.names[one] for one in data["assignees"]],
            "due": data["due"] and data["due"]["date"],
            **{name: self.names.get(data[name]) for name in ("assigned_to", "completed_by", "created_by")},
            **{name: data[name] is not None for name in ("completed_at", "deleted_at")},
        }

    def sent(self, fields):
        """Return fields as they are sent: people by id."""
        wanted = dict(fields)
        if "assignees" in fields:
            wanted["assignees"] = self.users(fields["assignees"])
        if fields.get("assigned_to"):
            wanted["assigned_to"] = str(self.ids[fields["assigned_to"]])
        return wanted

    def users(self, names):
        return [str(self.ids[one]) for one in names]

    def some(self, pick, *, in_trash=False):
        """Return a task, which is mostly where it is looked for."""
        found = [task for task in self.world.tasks.values() if task.is_deleted is in_trash]
        if not found or pick == 30:
            found = list(self.world.tasks.values())
        # The youngest first, so that tasks are met again however many there are.
        return found[-1 - pick % min(len(found), 7)]

    def match(self, task, wanted):
        """Return the header If-Match, and what it says."""
        if wanted in {None, "*"}:
            return wanted, None
        version = max(task.version + (0 if wanted == "current" else wanted), 1)
        return f'"{version}"', version

    # What is done.

    @rule(caller=CALLER, title=VALUES["title"], fields=FIELDS, people=st.just([]) | PEOPLE)
    def create(self, caller, title, fields, people):
        self.make(caller, {"title": title, **fields, "assignees": people})

    @rule(caller=CALLER, title=VALUES["title"], status=VALUES["status"], pick=PICK)
    @precondition(lambda self: self.world.tasks)
    def create_subtask(self, caller, title, status, pick):
        self.make(caller, {"title": title, "status": status, "parent_id": self.some(pick).id})

    def make(self, caller, fields, **headers):
        body = {"project_id": str(self.project_id), **self.sent(fields)}
        answer = self.ask(caller, "POST", "/tasks", body, **headers)
        task_id = answer.json()["data"]["id"] if answer.status_code == 201 else None
        task = self.agree_on_task(answer, lambda: self.world.create(caller, fields, task_id=task_id), status=201)
        if task is not None and headers:
            self.keyed.append(((caller, "POST", "/tasks", body), headers, answer))

    @rule(caller=CALLER, title=VALUES["title"], fields=FIELDS)
    def create_with_key(self, caller, title, fields):
        self.make(caller, {"title": title, **fields}, idempotency_key=f"k{len(self.keyed)}")

    @rule(pick=PICK)
    @precondition(lambda self: self.keyed)
    def repeat(self, pick):
        request, headers, first = self.keyed[pick % len(self.keyed)]
        again = self.ask(*request, **headers)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["etag"] == first.headers["etag"]

    @rule(pick=PICK)
    @precondition(lambda self: self.keyed)
    def reuse_key(self, pick):
        (caller, method, path, body), headers, _ = self.keyed[pick % len(self.keyed)]
        other = self.ask(caller, method, path, {**body, "title": "another"}, **headers)
        assert (other.status_code, other.json()["errors"][0]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")

    @rule(
        caller=CALLER, pick=PICK, fields=FIELDS, assigned=ASSIGNED, match=MATCH, merges=st.booleans(), children=CHILDREN
    )
    @precondition(lambda self: self.world.tasks)
    def change(self, caller, pick, fields, assigned, match, merges, children):
        self.patch(caller, self.some(pick), {**fields, **assigned}, match, merges=merges, children=children)

    @rule(caller=CALLER, pick=PICK, status=VALUES["status"], children=CHILDREN)
    @precondition(lambda self: self.world.tasks)
    def change_status(self, caller, pick, status, children):
        self.patch(caller, self.some(pick), {"status": status}, None, children=children)

    @rule(caller=CALLER, pick=PICK, parent=st.none() | PICK, match=MATCH)
    @precondition(lambda self: self.world.tasks)
    def move_below(self, caller, pick, parent, match):
        parent_id = None if parent is None else self.some(parent).id
        self.patch(caller, self.some(pick), {"parent_id": parent_id}, match)

    @rule(caller=CALLER, pick=PICK, fields=FIELDS, match=MATCH)
    @precondition(lambda self: self.world.tasks)
    def change_with_key(self, caller, pick, fields, match):
        self.patch(caller, self.some(pick), fields, match, idempotency_key=f"k{len(self.keyed)}")

    def patch(self, caller, task, fields, match, *, merges=False, children=None, **headers):
        header, version = self.match(task, match)
        named = {"merge": "fields" if merges else None, "children": children}
        query = "&".join(f"{name}={value}" for name, value in named.items() if value)
        request = (caller, "PATCH", f"/tasks/{task.id}?{query}", self.sent(fields))
        answer = self.ask(*request, if_match=header, **headers)
        expected = Expected(version, merges)
        if (
            self.agree_on_task(answer, lambda: self.world.update(caller, task.id, fields, expected, children or "fail"))
            and headers
        ):
            self.keyed.append((request, {"if_match": header, **headers}, answer))

    @rule(caller=CALLER, pick=PICK, fields=FIELDS, people=st.none() | PEOPLE, match=MATCH)
    @precondition(lambda self: self.world.tasks)
    def replace(self, caller, pick, fields, people, match):
        task = self.some(pick)
        header, version = self.match(task, match or "current")
        wanted = {**task.fields, **fields, "assignees": task.assignees if people is None else people}
        wanted["assigned_to"] = next(iter(wanted["assignees"]), None)
        body = {**self.sent(wanted), "category_id": None, "labels": []}
        answer = self.ask(caller, "PUT", f"/tasks/{task.id}", body, if_match=header)
        self.agree_on_task(answer, lambda: self.world.replace(caller, task.id, wanted, Expected(version)))

    @rule(caller=CALLER, pick=PICK, match=MATCH)
    @precondition(lambda self: self.world.live())
    def delete(self, caller, pick, match):
        task = self.some(pick)
        header, version = self.match(task, match)
        answer = self.ask(caller, "DELETE", f"/tasks/{task.id}", if_match=header)
        self.agree_on_task(answer, lambda: self.world.delete(caller, task.id, Expected(version)))

    @rule(caller=CALLER, pick=PICK)
    @precondition(lambda self: len(self.world.live()) < len(self.world.tasks))
    def restore(self, caller, pick):
        task = self.some(pick, in_trash=True)
        answer = self.ask(caller, "POST", f"/tasks/{task.id}/restore")
        self.agree_on_task(answer, lambda: self.world.restore(caller, task.id))

    @rule(caller=CALLER, pick=PICK, people=PEOPLE, match=MATCH)
    @precondition(lambda self: self.world.tasks)
    def replace_assignees(self, caller, pick, people, match):
        task = self.some(pick)
        header, version = self.match(task, match)
        body = {"user_ids": self.users(people)}
        answer = self.ask(caller, "PUT", f"/tasks/{task.id}/assignees", body, if_match=header)
        if self.agree(answer, lambda: self.world.assign(caller, task.id, lambda _: people, Expected(version))):
            self.agree_on_assignees(answer.json()["data"], task)

    @rule(caller=CALLER, pick=PICK, user=SOMEBODY, match=MATCH)
    @precondition(lambda self: self.world.tasks)
    def add_assignee(self, caller, pick, user, match):
        task = self.some(pick)
        header, version = self.match(task, match)
        status = 200 if user in task.answers else 201
        body = {"user_id": str(self.ids[user])}
        answer = self.ask(caller, "POST", f"/tasks/{task.id}/assignees", body, if_match=header)
        wanted = list(dict.fromkeys((*task.assignees, user)))
        if self.agree(
            answer, lambda: self.world.assign(caller, task.id, lambda _: wanted, Expected(version)), status=status
        ):
            self.agree_on_assignee(answer.json()["data"], task, user)

    @rule(caller=CALLER, pick=PICK, user=SOMEBODY, match=MATCH)
    @precondition(lambda self: self.world.tasks)
    def remove_assignee(self, caller, pick, user, match):
        task = self.some(pick)
        header, version = self.match(task, match)
        answer = self.ask(caller, "DELETE", f"/tasks/{task.id}/assignees/{self.ids[user]}", if_match=header)
        self.agree(
            answer,
            lambda: self.world.assign(caller, task.id, lambda some: MODEL["without"](some, user), Expected(version)),
        )

    @rule(
        pick=PICK,
        user=INSIDER,
        state=st.sampled_from(["pending", "done", "done", "declined"]),
        other=st.none() | CALLER,
    )
    @precondition(lambda self: self.world.tasks)
    def answer(self, pick, user, state, other):
        task, caller = self.some(pick), other or user
        answer = self.ask(caller, "PATCH", f"/tasks/{task.id}/assignees/{self.ids[user]}", {"state": state})
        if self.agree(answer, lambda: self.world.answer(caller, task.id, user, state)):
            self.agree_on_assignee(answer.json()["data"], task, user)

    # What is read.

    @rule(caller=CALLER, pick=PICK)
    @precondition(lambda self: self.world.tasks)
    def read(self, caller, pick):
        task = self.some(pick)
        self.agree_on_task(self.ask(caller, "GET", f"/tasks/{task.id}"), lambda: self.world.read(caller, task.id))

    @rule(caller=INSIDER)
    def read_list(self, caller):
        answer = self.ask(caller, "GET", f"/tasks?project_id={self.project_id}&per_page=100")
        assert [self.plain(one) for one in answer.json()["data"]] == [
            self.full(task) for task in reversed(self.world.live())
        ]

    @rule(caller=INSIDER, pick=PICK)
    @precondition(lambda self: self.world.live())
    def read_assignees(self, caller, pick):
        task = self.world.live()[pick % len(self.world.live())]
        self.agree_on_assignees(self.ask(caller, "GET", f"/tasks/{task.id}/assignees").json()["data"], task)

    @rule(caller=INSIDER, pick=PICK)
    @precondition(lambda self: self.world.live())
    def read_history(self, caller, pick):
        task = self.world.live()[pick % len(self.world.live())]
        answer = self.ask(caller, "GET", f"/tasks/{task.id}/history?per_page=100").json()
        assert not answer["meta"]["has_more"]
        found = [one for one in answer["data"] if one["entity_id"] == task.id]
        fields = [{change["field"] for change in one["changes"]} for one in found]
        assert [one["version"] for one in found] == list(range(task.version, 0, -1))
        assert fields[:-1] == [names for _, names in task.log[:0:-1]]
        assert sum(one["entity_type"] == "assignee" for one in answer["data"]) == task.answers_logged

    def agree_on_assignees(self, found, task):
        assert [self.names[one["user_id"]] for one in found] == task.assignees
        for one in found:
            self.agree_on_assignee(one, task, self.names[one["user_id"]])

    def agree_on_assignee(self, found, task, user):
        assert self.names[found["user_id"]] == user
        assert (found["task_id"], found["state"]) == (task.id, task.answers[user])
        assert found["is_primary"] is (task.assignees[0] == user)

    def teardown(self):
        if sys.exc_info()[0] is not None:
            return
        self.read_list("owner")
        log = self.service.rows(LOG, w=self.workspace_id)
        assert [seq for seq, _, _ in log] == list(range(1, len(log) + 1))
        made = [str(entity_id) for _, kind, entity_id in log if kind == "task.created.v1"]
        assert made == list(self.world.tasks)
        type(self).ended += 1


@pytest.fixture
def service(settings, database_settings, test_gateway):
    found = Service(settings, database_settings, test_gateway)
    yield found
    found.close()


def test_ten_thousand_steps_go_as_the_model_says(service):
    Tasks.service, Tasks.steps, Tasks.ended = service, 0, 0
    run_state_machine_as_test(
        Tasks,
        settings=profile(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Tasks.ended == EXAMPLES
    assert Tasks.steps - Tasks.ended >= WANTED
