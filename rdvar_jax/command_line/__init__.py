"""What stands behind `rdvar`: each command's flags and words, and what they share."""
