-- gate: how the producers' switch stands, and since when; empty if it was never closed.

return { gate() }
