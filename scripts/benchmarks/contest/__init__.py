"""The workings of `scripts/bench peers`; the contestants themselves stand in `contestants`."""
