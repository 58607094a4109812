"""Stored messages for people and programs: queue.py is the door, behind it walk.py, change.py, groups.py."""
