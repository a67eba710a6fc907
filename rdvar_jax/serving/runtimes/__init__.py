"""What computes maps and scores of pixels for a detector: one module per runtime."""
