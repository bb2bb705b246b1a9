"""Predictions over HTTPS in front of Triton."""

__version__ = "0.1.0"
