"""A run: its folder, its config, and the checks of both."""
