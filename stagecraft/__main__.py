"""`python -m stagecraft`."""

from stagecraft.cli import main

main()
