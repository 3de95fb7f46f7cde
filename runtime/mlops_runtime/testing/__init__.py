"""Tools for tests: a pytest plugin, strategies for records, synthetic contracts."""
