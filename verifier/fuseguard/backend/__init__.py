"""What Arm's backend does: one file per pass or decision, named after it."""
