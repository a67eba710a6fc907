"""What scores images, and the files that show verdicts on them."""
