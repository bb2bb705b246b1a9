"""`python -m inference_api` is the command `inference-api`."""

from inference_api.cli import main

main()
