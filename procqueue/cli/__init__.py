"""The command line: a file for each verb or close pair. Verbs parse, call, print, return an exit code."""
