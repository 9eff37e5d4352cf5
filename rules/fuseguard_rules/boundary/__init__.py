"""BO6xx: what crosses the boundary between a delegate and the rest of the program."""
