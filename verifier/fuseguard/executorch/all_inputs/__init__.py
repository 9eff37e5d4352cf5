"""Proves each piece of a lowered program for every input: ``fuseguard prove --all-inputs``."""
