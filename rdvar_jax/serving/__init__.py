"""Trained runs as files that score images elsewhere: bundles and ONNX models."""
