"""Commands as functions: one module per command."""
