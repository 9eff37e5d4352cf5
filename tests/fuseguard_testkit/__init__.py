"""What several test files share. Not named ``tests``: that import name is taken in real environments."""
