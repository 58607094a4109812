"""The only place that knows POSIX: master, consumers, scheduler, what they share. Start with master.py."""
