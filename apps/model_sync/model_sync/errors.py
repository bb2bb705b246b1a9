"""The one error that reaches a person."""


class SyncError(Exception):
    """What failed, where, why and what to do, in one readable message."""
