"""What was measured of each version, over time: read from the bucket, as a page and as rows for a dashboard."""
