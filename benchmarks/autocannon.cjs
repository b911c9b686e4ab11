// Reads a plan from standard input, runs it, prints {"rate": requests per second}; see load.py.
const autocannon = require("autocannon");

const plan = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const requests = plan.requests.map((request) => {
  const body = Buffer.from(request.body, "base64");
  return { ...request, body: body.length > 0 ? body : undefined };
});

autocannon({ url: plan.url, connections: plan.connections, duration: plan.duration, requests }).then((result) => {
  const failed = Object.entries(result.statusCodeStats).filter(([status]) => Number(status) >= 400);
  if (result.errors > 0 || failed.length > 0) {
    process.stderr.write(`${result.errors} errors, ${JSON.stringify(Object.fromEntries(failed))}\n`);
    process.exit(1);
  }
  process.stdout.write(JSON.stringify({ rate: result.requests.total / result.duration }));
});
