"""Profiles a table and renders the contract that its rows fulfil.

It needs only the standard library, so that the template can run it before a project exists.
"""
