"""DT5xx: quantized dtypes that the backend accepts and cannot lower."""
