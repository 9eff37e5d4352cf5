"""QD2xx: quantization domains, sets of values that share one set of codes."""
