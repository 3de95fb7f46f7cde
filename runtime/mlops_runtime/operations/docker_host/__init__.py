"""The road to a machine with Docker and no cluster: two colours of the service behind a proxy."""
