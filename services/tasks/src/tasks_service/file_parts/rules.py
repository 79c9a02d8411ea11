"""How files are kept."""

PART_BYTES = 1024 * 1024
"""The most that one piece of a file has."""
