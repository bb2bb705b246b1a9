"""Rehearse a stage on one machine: the cloud's API emulated, and real servers behind it."""
