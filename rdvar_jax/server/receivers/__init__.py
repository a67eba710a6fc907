"""Other machines that are told of verdicts."""
