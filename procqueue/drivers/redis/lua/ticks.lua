-- ticks: how far each cron of the queue has come. Answers names and values of CRONS.

return call('HGETALL', CRONS)
