"""From an image to a verdict that is kept, whoever brings the image."""
