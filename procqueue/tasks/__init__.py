"""What an application sees of procqueue: tasks, calls, the current message, failures.

Reading order: task (the decorator), call (what pushing gives back), arguments (Python values to JSON and
back), context (`current()`), execute (one run, from the bytes to one outcome), failure (`on_failed`).
"""
