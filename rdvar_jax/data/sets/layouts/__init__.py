"""Folder layouts, one module each; all return the same records."""
