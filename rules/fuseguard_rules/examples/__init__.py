"""Programs that the rules must flag, and programs that they must accept."""
