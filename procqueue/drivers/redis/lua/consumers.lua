-- consumers: who is registered, and from which host. Law D6.

return call('HGETALL', CONSUMERS)
