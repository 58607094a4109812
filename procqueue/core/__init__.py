"""Nouns and decisions. Nothing in here reads a clock, a file, a socket, randomness or the environment."""
