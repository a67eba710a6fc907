"""What evaluation keeps of images and sets, for it and for reports."""
