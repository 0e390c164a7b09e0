// One version of a small service, of which a given share of the requests fails; it counts and times them on /metrics,
// under the names that docs/deploy/host.md has.
// Each instance also listens on a port of its own, for those who scrape it.
"use strict";

const cluster = require("node:cluster");
const http = require("node:http");
const { version } = require("./package.json");
const { failing, sick, broken } = require("./behaviour.json");

if (broken) throw new Error("this version cannot start");

const port = Number(process.env.PORT);
const own = port + 1 + Number(process.env.NODE_APP_INSTANCE || 0);
const counts = { 200: 0, 500: 0 };
const edges = [0.1, 1, 5, Infinity];
const within = edges.map(() => 0);
let seconds = 0;
const started = Date.now() / 1000 - process.uptime();
let due = 0;
let closing = false;

function metrics() {
  const histogram = "http_request_duration_seconds";
  const le = (edge) => (edge === Infinity ? "+Inf" : edge);
  return [
    "# TYPE http_requests_total counter",
    ...Object.entries(counts).map(([s, n]) => `http_requests_total{version="${version}",status="${s}"} ${n}`),
    `# TYPE ${histogram} histogram`,
    ...edges.map((edge, i) => `${histogram}_bucket{version="${version}",le="${le(edge)}"} ${within[i]}`),
    `${histogram}_sum{version="${version}"} ${seconds}`,
    `${histogram}_count{version="${version}"} ${within[edges.length - 1]}`,
    "# TYPE process_start_time_seconds gauge",
    `process_start_time_seconds ${started}`,
    "",
  ].join("\n");
}

function timed(took) {
  seconds += took;
  edges.forEach((edge, i) => (within[i] += took <= edge));
}

function serve(request, response) {
  if (closing) response.setHeader("Connection", "close");
  if (request.url === "/metrics") {
    response.setHeader("Content-Type", "text/plain; version=0.0.4");
    return response.end(metrics());
  }
  if (request.url === "/health") {
    response.statusCode = sick ? 503 : 200;
    return response.end(version);
  }
  const began = process.hrtime.bigint();
  response.once("finish", () => timed(Number(process.hrtime.bigint() - began) / 1e9));
  due += failing;
  response.statusCode = due >= 1 ? 500 : 200;
  if (due >= 1) due -= 1;
  counts[response.statusCode] += 1;
  return response.end(version);
}

const servers = [port, own].map((at) => http.createServer(serve).listen(at, "127.0.0.1"));
Promise.all(servers.map((server) => new Promise((listens) => server.once("listening", listens)))).then(() => {
  if (process.send) process.send("ready");
});

// A connection that PM2 hands over in this moment is handed back, which takes until it confirms the disconnection: who
// just exits loses it.
process.on("SIGINT", () => {
  closing = true;
  const ended = servers.map((server) => new Promise((closed) => server.close(closed)));
  if (cluster.isWorker) {
    ended.push(new Promise((disconnected) => process.once("disconnect", disconnected)));
    cluster.worker.disconnect();
  }
  Promise.all(ended).then(() => process.exit(0));
});
