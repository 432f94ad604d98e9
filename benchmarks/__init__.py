"""Measurements, not tests: each module is a command that prints a table and writes JSON and a figure."""
