"""Tools for the tests of a project.

`project`: its settings, a model trained in seconds, its service as a process. `plugin`: fixtures for pytest.
`strategies`: records of a contract for Hypothesis. `synthetic`: made-up contracts with their tables.
"""
