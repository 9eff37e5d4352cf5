"""Parts of a program as data for a drawing. Where each node is placed is decided where it is drawn."""
