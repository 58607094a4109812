"""How the properties are searched: the same examples each time, others with --hypothesis-profile explore."""

from hypothesis import settings

settings.register_profile("explore", derandomize=False)
settings.register_profile("steady", derandomize=True, database=None)
settings.load_profile("steady")
