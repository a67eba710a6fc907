"""One image file: decoding and geometry."""
