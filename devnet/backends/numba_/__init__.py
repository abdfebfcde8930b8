"""Compiled backend: noise, field, state, spikes, competition and plasticity in fused numba kernels."""
