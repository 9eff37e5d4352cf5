"""PL4xx: missing quantize and dequantize ops that the backend relies on."""
