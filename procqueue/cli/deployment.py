"""What `init systemd`, `docker`, `compose` and `k8s` write. The numbers are those of the configuration.

A stop has to be given the time that the master itself gives: the longest grace, along whatever waits for
another to leave first (`after`), then that of the scheduler.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import sys

from procqueue.cli.failures import Refusal
from procqueue.core.exits import Exit
from procqueue.core.plan import LAST_GRACE
from procqueue.core.settings.model import Settings

_MARGIN = 5  # seconds that are nobody's
_INSIDE = "/app"
_IGNORED = ".dockerignore"


def files_of(kind: str, settings: Settings, config: str) -> tuple[dict[str, str], str]:
    """The files of one kind, and what to do next. `config` is the configuration as seen from here."""
    if kind == "systemd":
        return {"procqueue.service": _unit(settings)}, _HOW_SYSTEMD
    inside = os.path.relpath(settings.file, settings.root)
    if inside.startswith(".."):
        text = f"{config} lies outside of its root, {settings.root}, so one image cannot hold both"
        raise Refusal(Exit.FAILED, text, "put it below the root, in etc")
    if kind == "docker":
        return _image(settings, inside), "docker build -t IMAGE . && docker run IMAGE"
    if kind == "compose":
        return {
            "compose.yaml": _compose(settings)
        }, "docker compose up --build (procqueue init docker: the image)"
    return {"k8s.yaml": _manifest(settings)}, "mend image: in k8s.yaml, then kubectl apply -f k8s.yaml"


def stop_seconds(settings: Settings) -> int:
    """How long a stop of the whole may take."""
    queues = [queue.effective_grace(settings.master.grace) for queue in settings.queues.values()]
    longest: dict[str, float] = {}
    waiting = list(settings.programs.values())
    while waiting:  # in the order of `after`, which has no circle
        for one in [one for one in waiting if all(name in longest for name in one.after)]:
            longest[one.name] = one.grace + max((longest[name] for name in one.after), default=0.0)
            waiting.remove(one)
    own = LAST_GRACE if settings.queues else 0.0
    return math.ceil(max((*queues, *longest.values()), default=0.0) + own) + _MARGIN


_HOW_SYSTEMD = (
    "sudo cp procqueue.service /etc/systemd/system/ && sudo systemctl daemon-reload"
    " && sudo systemctl enable --now procqueue"
)


def _unit(settings: Settings) -> str:
    found = shutil.which("procqueue")
    command = [os.path.abspath(found)] if found else [sys.executable, "-m", "procqueue"]
    started = " ".join(map(_quoted, [*command, "start", "-c", settings.file]))
    return f"""\
[Unit]
Description=procqueue {_specifiers(_name(settings))}
Wants=network-online.target
After=network-online.target

[Service]
# It says itself when all is ready, and when a reload is done (systemd 253 or later; before: Type=notify).
Type=notify-reload
NotifyAccess=main
ExecStart={started}
WorkingDirectory={_specifiers(settings.root)}
#User=app

# A stop asks the master alone, which lets running messages end. This is the longest that it may take here.
KillMode=mixed
TimeoutStopSec={stop_seconds(settings)}

# A master that hangs is replaced; a file that is wrong (78), or a command line (2), is not tried again.
WatchdogSec=30
Restart=on-failure
RestartPreventExitStatus=2 77 78

# One process too large for the memory is not the end of all others; cgroups are left to systemd.
OOMPolicy=continue
Delegate=no

[Install]
WantedBy=multi-user.target
"""


def _quoted(word: str) -> str:
    word = _specifiers(word).replace("$", "$$")
    if not re.search(r"[\s\"'\\;]", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _image(settings: Settings, inside: str) -> dict[str, str]:
    needs = [
        name for name in ("requirements.txt", "pyproject.toml") if os.path.exists(f"{settings.root}/{name}")
    ]
    install = {
        "requirements.txt": "COPY requirements.txt .\n"
        "RUN pip install --no-cache-dir procqueue -r requirements.txt\nCOPY . .",
        "pyproject.toml": "COPY . .\nRUN pip install --no-cache-dir procqueue .",
    }.get(next(iter(needs), ""), "RUN pip install --no-cache-dir procqueue\nCOPY . .")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    state = _inside(settings, settings.master.state_dir)
    files = {
        "Dockerfile": f"""\
FROM python:{python}-slim
WORKDIR {_INSIDE}
{install}

RUN useradd --system --no-create-home app && mkdir -p {state} && chown app {state}
USER app
ENV PROCQUEUE_CONFIG={_INSIDE}/{inside} PYTHONUNBUFFERED=1

# procqueue is PID 1 itself: it reaps what is orphaned and needs no init. TERM lets running messages end:
# give it the time, as docker run --stop-timeout {stop_seconds(settings)} does (10 s otherwise).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["procqueue", "health"]
CMD ["procqueue", "start"]
"""
    }
    if not os.path.lexists(_IGNORED):
        own = os.path.relpath(settings.master.state_dir, settings.root)
        left_out = [".git", ".venv", "**/__pycache__", *([] if own.startswith("..") else [own])]
        files[_IGNORED] = "\n".join(left_out) + "\n"
    return files


def _inside(settings: Settings, path: str) -> str:
    """Where a path of this host is in the image."""
    near = os.path.relpath(path, settings.root)
    return path if near.startswith("..") else f"{_INSIDE}/{near}"


def _compose(settings: Settings) -> str:
    return f"""\
services:
  procqueue:
    build: .
    restart: unless-stopped
    # The longest that a stop may take here.
    stop_grace_period: {stop_seconds(settings)}s
    volumes:
      - state:{_inside(settings, settings.master.state_dir)}

volumes:
  state: {{}}
"""


def _manifest(settings: Settings) -> str:
    name = re.sub(r"[^a-z0-9-]+", "-", _name(settings).lower()).strip("-")[:50].strip("-") or "procqueue"
    local = any(driver.scheme == "sqlite" for driver in settings.used_drivers.values())
    volume = f"persistentVolumeClaim: {{claimName: {name}-state}}" if local else "emptyDir: {}"
    why = (
        "one: the SQLite database is this pod's alone"
        if local
        else "as many as you like: they share the queues"
    )
    text = f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  replicas: 1  # {why}
  strategy: {{type: {"Recreate" if local else "RollingUpdate"}}}
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      # The longest that a stop may take here. TERM lets running messages end: no preStop is needed.
      terminationGracePeriodSeconds: {stop_seconds(settings)}
      securityContext: {{fsGroup: 1000}}
      containers:
        - name: procqueue
          image: {name}:latest
          # Alive: the master answers, whatever the store does. Ready: all that is wanted runs.
          livenessProbe:
            exec: {{command: [procqueue, health, --live]}}
            periodSeconds: 30
            timeoutSeconds: 5
            failureThreshold: 3
          readinessProbe:
            exec: {{command: [procqueue, health, --ready]}}
            periodSeconds: 10
            timeoutSeconds: 5
          startupProbe:
            exec: {{command: [procqueue, health, --live]}}
            periodSeconds: 2
            timeoutSeconds: 5
            failureThreshold: 30
          volumeMounts:
            - {{name: state, mountPath: {_inside(settings, settings.master.state_dir)}}}
      volumes:
        - name: state
          {volume}
"""
    if local:
        text += f"""\
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {name}-state
spec:
  accessModes: [ReadWriteOnce]
  resources:
    requests: {{storage: 1Gi}}
"""
    return text


def _name(settings: Settings) -> str:
    return settings.master.name or os.path.basename(settings.root)
