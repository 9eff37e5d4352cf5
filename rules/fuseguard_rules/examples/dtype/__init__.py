"""Examples of the rules in ``fuseguard_rules.dtype``."""
