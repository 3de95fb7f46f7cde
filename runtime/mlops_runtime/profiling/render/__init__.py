"""Source code and documentation rendered from the profile of a table."""
