"""What README.md tells people to type is typed here; what docs/guide.md shows is compared with what comes."""

import json
import re
from pathlib import Path

import pytest
from testkit.servers import free_port

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
PORT_IN_TEXT = ":8080/"


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


# A block that is added has to be typed in below too.
RUN, TEST, PASTE, BY_HAND, LIVE = blocks(README, "sh")
ENVELOPE, FRAME = blocks(GUIDE, "[a-z]+")


@pytest.fixture(scope="module")
def port():
    return f":{free_port()}/"


@pytest.fixture(scope="module")
def copy(typed, port):
    """A copy that was started by the README's command, with options that the README names."""
    with typed(f'{RUN.strip()} ARGS="--ephemeral --json --port {port.strip(":/")}"') as started:
        yield started


def answers(printed):
    """Return the JSON objects that begin a line, or follow another one at once."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while (at := printed.find('{"success"', at)) >= 0:
        answer, at = decoder.raw_decode(printed, at)
        found.append(answer)
    return found


def test_the_readme_opens_with_the_pitch_the_two_commands_and_the_curl():
    opening = README[: README.index("\n## ")]
    assert opening.startswith("# Taskloom\n\nTaskloom is an API-only backend for task management")
    assert (RUN, TEST) == ("make run\n", "make test\n")
    assert opening.index(RUN) < opening.index(TEST) < opening.index(PASTE)


def test_make_test_runs_tests(type_in, tmp_path):
    # The whole suite can't run within itself: one test of it stands for all.
    chosen = f"{Path(__file__).relative_to(ROOT)} -k readme_opens -p no:cacheprovider --basetemp {tmp_path}/nested"
    assert "1 passed" in type_in(f"{TEST.strip()} ARGS='{chosen}'")


def test_the_line_to_paste_and_the_one_that_the_panel_shows(copy, port, type_in):
    assert f"127.0.0.1{port.rstrip('/')}" in copy.summary["api"]
    (pasted,) = answers(type_in(PASTE.replace(PORT_IN_TEXT, port), TOKEN=copy.summary["users"][0]["access_token"]))
    (shown,) = answers(type_in(copy.summary["curl"]))
    assert pasted["data"]["title"] == shown["data"]["title"] == "Buy milk"
    assert json.loads(ENVELOPE).keys() == pasted.keys()


def test_five_minutes_by_hand_and_live_in_a_second_terminal(copy, port, type_in, terminal):
    printed = type_in(BY_HAND.replace(PORT_IN_TEXT, port) + '\necho "token=$TOKEN"')
    registered, read, changed, listed = answers(printed)
    assert registered["data"]["display_name"] == "You"
    assert (read["data"]["title"], changed["data"]["status"]) == ("Buy milk", "done")
    assert [task["id"] for task in listed["data"]] == [read["data"]["id"]]
    statuses = re.findall(r"HTTP/1.1 (\d+)", printed)
    assert statuses == ["200", "200"]

    token = printed.rpartition("token=")[2].strip()
    with terminal(LIVE.replace(PORT_IN_TEXT, port)) as second:
        frame = watch(second, lambda: type_in(PASTE.replace(PORT_IN_TEXT, port), TOKEN=token))
    assert second.returncode == 0
    assert (frame["type"], frame["data"]["title"]) == ("task.created", "Buy milk")
    assert json.loads(FRAME).keys() == frame.keys()


def watch(terminal, act):
    """Read what a terminal goes on showing; return the first frame that comes after `act`."""
    shown = []
    while '"type":"ready"' not in "".join(shown):
        shown.append(read_line(terminal))
    act()
    while not (frames := re.findall(r'\{"seq".*\}', "".join(shown))):
        shown.append(read_line(terminal))
    terminal.communicate()
    return json.loads(frames[0])


def read_line(terminal):
    line = terminal.stdout.readline()
    assert line, "the terminal ended"
    return line


def test_options_and_settings_that_the_readme_names_exist(type_in):
    named = re.findall(r'^\| `make run ARGS="(--[a-z-]+)', README, re.MULTILINE)
    assert named == ["--port", "--ephemeral", "--reset", "--no-seed", "--json", "--local-port"]
    known = type_in(".venv/bin/taskloom up --help", COLUMNS="200", NO_COLOR="1")
    assert all(option in known for option in named)
