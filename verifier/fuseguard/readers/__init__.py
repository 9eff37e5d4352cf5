"""Readers make the graph, from a live torch program (``fx``) or, running nothing in it, from a file (``pt2``)."""
