-- paused: since when, and until when (0: until resumed); empty if it is not.

return { pause() }
