"""`python -m procqueue` is the command line."""

from procqueue.cli.main import main

main()
