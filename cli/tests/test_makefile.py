"""What `make` does before there is anything of ours."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
OURS = re.search(r"^UV_VERSION := (.+)$", MAKEFILE, re.MULTILINE)[1]


@pytest.fixture
def make(tmp_path):
    """Says what `make install` would do with a uv of a version on PATH, and which variables it would set."""

    def run(version, **variables):
        uv = tmp_path / "uv"
        uv.write_text(f"#!/bin/sh\necho 'uv {version} (x86_64-unknown-linux-gnu)'\n", encoding="utf-8")
        uv.chmod(0o755)
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("UV", "MAKE", "MFLAGS", "XDG"))
        }
        environment = {**kept, "PATH": f"{tmp_path}:{os.environ['PATH']}", **variables}
        command = ["make", "--dry-run", "--print-data-base", "install"]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout

    return run


@pytest.mark.parametrize(
    ("version", "used"), [("0.1.0", False), (OURS, True), ("99.0.0", True)], ids=["older", "ours", "newer"]
)
def test_a_uv_on_the_path_is_used_unless_it_is_older_than_ours(make, version, used):
    ours = f".taskloom/bootstrap/{OURS}/bin/uv"
    (sync,) = re.findall(r"^(\S+) sync --frozen", make(version), re.MULTILINE)
    assert sync == ("uv" if used else ours)


def test_the_cache_is_in_the_project_when_the_home_cannot_be_written(make, tmp_path):
    here = f"UV_CACHE_DIR := {ROOT}/.taskloom/cache\n"
    assert here in make(OURS, HOME="/proc/none")
    assert here not in make(OURS, HOME=str(tmp_path))
    assert here not in make(OURS, HOME="/proc/none", UV_CACHE_DIR=str(tmp_path))
