"""What a CUDA device is asked for beyond CuPy's arrays: kernels, products, graphs."""
