-- Sends the lines of a file as bodies, in turn; prints what was measured as one line of JSON.
local requests = {}
local sent = 0

function init(args)
  for line in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, nil, line)
  end
end

function request()
  sent = sent % #requests + 1
  return requests[sent]
end

function done(summary, latency, _)
  local errors = summary.errors
  print(string.format(
    'RESULT {"seconds":%.6f,"requests":%d,"refused":%d,"broken":%d,"late":%d,"p50":%.6f,"p99":%.6f}',
    summary.duration / 1e6, summary.requests, errors.status, errors.connect + errors.read + errors.write,
    errors.timeout, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6))
end
