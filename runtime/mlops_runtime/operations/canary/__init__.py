"""A canary on Kubernetes: a few pods of a new version beside the old ones, compared with them by their metrics."""
