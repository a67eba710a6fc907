"""Pretraining of a small teacher on generated images: the parts of `tools/pretrain_teacher.py`."""
