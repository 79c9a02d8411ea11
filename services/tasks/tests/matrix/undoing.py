"""Undoing, which is of the caller's own requests; see api/test_matrix.py."""

UNDECIDED = {
    "undo_operation": "turns back the caller's own changes, each decided by itself, and is tested in test_undoing.py",
}
