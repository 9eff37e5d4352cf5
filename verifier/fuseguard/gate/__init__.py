"""The gate: what programs are checked for and compared with, and what a check of files returns."""
