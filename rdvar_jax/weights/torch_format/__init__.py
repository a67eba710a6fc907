"""PyTorch's file format, without torch."""
