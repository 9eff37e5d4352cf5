"""Recorded effects: what was seen of every example of every rule, one file a release."""

#: The releases that were measured, oldest first.
RELEASES: tuple[str, ...] = ("1.2.0", "1.3.1", "1.4.1", "1.5.1")
