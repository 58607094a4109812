"""`python -m procqueue` is the command line."""

from procqueue.cli.app import main

main()
