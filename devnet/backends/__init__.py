"""HOW a sheet is stepped: the readable NumPy oracle and the compiled kernels, behind one registry."""
