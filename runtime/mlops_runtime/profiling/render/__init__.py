"""Rendering of datamodel.py and data/README.md from the profile of a table."""
