"""Many image files: arrays, order, tiles, streams."""
