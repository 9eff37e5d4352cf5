"""PL4xx: quantize and dequantize ops that the backend takes for granted and that are not there."""
