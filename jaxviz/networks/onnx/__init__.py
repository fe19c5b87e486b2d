"""Networks from ONNX files: reading and checking them, and an interpreter of their operators."""
