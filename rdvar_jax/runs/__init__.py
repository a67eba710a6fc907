"""A run's folder, config and checks."""
