"""OP7xx: operators and arguments that a release of the backend accepts and cannot lower."""
