"""`python -m model_sync`."""

from model_sync.cli import main

main()
