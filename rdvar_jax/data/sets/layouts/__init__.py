"""One module a layout of folders; all give the same records."""
