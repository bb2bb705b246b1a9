"""`python -m inference_api` is the command `inference-api`, and starts sooner."""

import gc


def main() -> None:
    """What is imported stays: to look for garbage among it is a sixth of a start. Serving enables that again."""
    gc.disable()
    from inference_api import cli

    cli.main()


main()
