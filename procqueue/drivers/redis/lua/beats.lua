-- beats: every host and its "beat name". Law D6.

return call('HGETALL', HOSTS)
