"""The `stagecraft` command: plan, rehearse, build, check and take down the stages of an AI application."""

__version__ = "0.1.0"
