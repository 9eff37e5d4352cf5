"""The command line. Each command has a file of its own, imported only when it is asked for."""
