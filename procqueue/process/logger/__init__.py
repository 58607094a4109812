"""The logger: the child that takes the others' lines (main.py), and what it keeps of them (ring.py)."""
