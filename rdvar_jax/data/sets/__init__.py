"""Image sets: folder layouts, TFDS sets and loose images."""
