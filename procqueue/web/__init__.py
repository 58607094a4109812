"""The dashboard: a process of its own that asks the master and the driver, and acts as the verbs do."""
