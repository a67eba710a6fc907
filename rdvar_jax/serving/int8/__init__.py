"""ONNX models with 8-bit convolutions, by onnxruntime's quantiser."""
