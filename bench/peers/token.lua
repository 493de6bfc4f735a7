-- One client-credentials request, the same from every connection. The secret comes from the
-- environment, so that it stands in no command line.
wrk.method = "POST"
wrk.body = "grant_type=client_credentials&scope=orders.read+orders.write+stock.read"
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
wrk.headers["Authorization"] = os.getenv("BENCH_AUTHORIZATION")

local bad = 0
function response(status)
  if status ~= 200 then bad = bad + 1 end
end
