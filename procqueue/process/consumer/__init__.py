"""A consumer: one process that reserves, runs and settles messages. Start with main.py; one duty a file."""
