"""Publish models to a bucket, and pull them, checked, into a Triton model repository."""
