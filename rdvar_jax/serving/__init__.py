"""Trained runs exported as bundles and ONNX models, and the detector that loads bundles."""
