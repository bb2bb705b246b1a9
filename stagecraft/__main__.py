"""`python -m stagecraft`."""

import gc

gc.disable()  # what modules make when they are imported stays: looking for garbage in it takes a tenth of a short command

from stagecraft.cli import main  # noqa: E402 - see above

gc.freeze()
gc.enable()
main()
