"""HTTP server of `rdvar serve`: images in, verdicts out, by bundles."""
