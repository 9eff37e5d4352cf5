"""QP3xx: values of quantization parameters that the backend cannot honour."""
