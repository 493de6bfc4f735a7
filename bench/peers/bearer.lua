-- GET requests with a bearer token each, from a file of one token a line: the first COUNT of them in
-- turn, beginning after SKIP. The requests are put together before the clock runs, so that the load
-- costs the same whatever it sends.
local requests, at = {}, 0

function init()
  local count = tonumber(os.getenv("BENCH_COUNT"))
  for token in io.lines(os.getenv("BENCH_TOKENS")) do
    if #requests == count then break end
    requests[#requests + 1] = wrk.format("GET", "/orders", { Authorization = "Bearer " .. token })
  end
  if #requests < count then error("fewer tokens than asked for") end
  at = tonumber(os.getenv("BENCH_SKIP"))
end

function request()
  at = at % #requests + 1
  return requests[at]
end
