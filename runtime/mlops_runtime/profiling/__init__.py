"""Reads a table of a dialect that nobody has described, and writes the contract that it keeps.

It needs the standard library alone, so that the template can run it before a project exists.
"""
