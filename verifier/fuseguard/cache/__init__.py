"""What was computed before and is still true: identities of programs and environments, and answers kept by them."""
