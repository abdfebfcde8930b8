"""Torch backend: the same laws on tensors, on a CPU or a CUDA device, with the same noise bit for bit."""
