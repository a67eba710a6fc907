"""Results become files and pictures."""
