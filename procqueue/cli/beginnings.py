"""The two files of a beginning: a configuration that runs as it stands, and a task for it."""

from __future__ import annotations

_QUEUES = """\
# What procqueue runs. procqueue check says what is wrong with this file, procqueue start runs it.
# Durations: "500ms", "30s", "5m", "1h30m", "7d". Sizes: "128MB", "128MiB". 0 switches a limit off.

app = ["app_tasks"]  # modules whose import registers the tasks

[driver]
url = "sqlite:///run/db/queue.db"  # or "redis://localhost:6379/0", "${REDIS_URL}"

[defaults]                     # what every queue has that says nothing else
handle_timeout = "60s"         # then SoftTimeout is raised in the handler
max_attempts = 3               # runs that may fail; then the message is kept as failed
retry_seconds = [5, 30, 300]   # pauses between them
#max_memory = "512MB"          # e.g. a consumer over it is replaced after its message

[queues.default]               # where a @task goes that names no queue
processes = 2                  # consumers

#[processes.web]               # e.g. any other program that is to be kept alive
#command = ["python", "-m", "http.server", "8000", "--bind", "127.0.0.1"]
#ready = "tcp:8000"            # e.g. it is ready once it accepts connections
"""

_TASKS = '''\
"""Tasks: functions that run in the consumers. procqueue push app_tasks.hello Ada hands one in."""

from procqueue import task


@task
def hello(name: str) -> None:
    """Greet somebody; the line is seen where procqueue start runs, and by procqueue logs."""
    print(f"hello, {name}", flush=True)
'''

FILES = {"etc/queues.toml": _QUEUES, "app_tasks.py": _TASKS}
