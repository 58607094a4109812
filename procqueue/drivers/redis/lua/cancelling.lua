-- cancelling: the reserved messages that are to go. Answers their ids.

return call('HKEYS', CANCELLED)
