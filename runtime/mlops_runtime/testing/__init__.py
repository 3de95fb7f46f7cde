"""Tools for the tests of a project.

`project`: settings, a quickly trained model, and the service as a process. `plugin`: fixtures for pytest.
`strategies`: Hypothesis strategies for records. `synthetic`: synthetic contracts and tables.
"""
