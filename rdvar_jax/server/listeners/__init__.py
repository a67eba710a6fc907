"""What the server remembers of verdicts."""
