-- leave_host: nobody watches this host any more, unless somebody of it is still here. Law D6.
-- ARGV: host.

call('HLEN', HOSTS)
for _, host in ipairs(call('HVALS', CONSUMERS)) do
  if host == ARGV[1] then
    return 0
  end
end
return call('HDEL', HOSTS, ARGV[1])
