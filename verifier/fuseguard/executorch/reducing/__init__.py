"""Failing programs made small (``fuseguard reduce``)."""
