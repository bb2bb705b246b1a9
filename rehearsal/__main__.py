"""`python -m rehearsal`: the same as the command `rehearsal`."""

from rehearsal.cli import main

main()
