"""Image sets: what lies where."""
