"""The only place that knows POSIX: master, consumers, scheduler, and what they share. Start with master.py."""
