"""Results as files, pictures and a page."""
