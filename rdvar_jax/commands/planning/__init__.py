"""Folders of photographs, and the plan of a training on them."""
