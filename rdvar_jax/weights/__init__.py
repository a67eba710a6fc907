"""Torch and safetensors files become the trees of arrays that the models take."""
