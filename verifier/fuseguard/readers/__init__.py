"""Readers make the graph from a live torch program (``fx``), or from a file (``pt2``) without running any of it."""
