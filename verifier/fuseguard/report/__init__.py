"""Turns what a check found into text for people and documents for machines."""
