"""What stops us from starting, in one clear sentence."""


class Complaint(Exception):
    """A sentence for the person at the terminal: what is wrong, and what to do. Ends the command with code 2."""
