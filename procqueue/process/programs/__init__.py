"""Programs: how one copy of a command or callable of [processes.*] is started, watched, ended."""
