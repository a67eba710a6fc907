"""The check that all settings of a config can be used, before any work starts."""
