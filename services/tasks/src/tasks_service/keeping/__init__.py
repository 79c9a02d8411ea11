"""What is kept in a process for a while."""
