// Makes every call of the Node client and prints what it sent and got, for test_node.py.

import {GateClient, Refused, Unreachable} from "../../../clients/node/index.js";

const {url, token, service, other, third} = JSON.parse(process.argv[2]);
const sent = [], really = fetch;
globalThis.fetch = async (target, options) => {
  const answer = await really(target, options);
  sent.push({method: options.method, path: target.pathname, query: Object.fromEntries(target.searchParams),
    headers: options.headers, body: options.body ? JSON.parse(options.body) : null, status: answer.status});
  return answer;
};
const reason = async (call) => {
  try {
    return await call();
  } catch (error) {
    return {error: error.name, known: error instanceof Refused || error instanceof Unreachable, status: error.status, message: error.message};
  }
};

const client = new GateClient(`${url}/`, {token, retryFor: 10});
const asked = {service, policy: "green", candidate: {version: "2"}, deployment: {id: "run-1"}};
const found = {doubts: await client.couldStart(asked)};
const started = await client.verify(asked, {key: "run-1"});
found.joined = (await client.verify(asked, {key: "run-1"})).id === started.id;
found.passed = await client.verdict(started.id);
found.listed = (await client.gates({service})).gates.map((gate) => gate.id);
found.late = await reason(() => client.approve(started.id, "looked at it"));
found.rejected = await reason(() => client.reject(started.id, "looked at it"));
const running = await client.verify({service: other, policy: "pushed", candidate: {version: "2"}});
await client.push(running.id, {candidate: {requests: 100, errors: 0}});
found.cancelled = await client.cancel(running.id, "another one comes");
const bad = await client.verify({service: third, policy: "pushed", candidate: {version: "3"}});
found.rolledBack = await reason(() => client.rollback(bad.id, "by hand")); // the service has no action for it
found.unknown = await reason(() => client.gate("no such/gate"));
found.nobody = await reason(() => new GateClient("http://127.0.0.1:9", {retryFor: 0}).gates());
found.stranger = await reason(() => new GateClient(url, {token: "wrong", retryFor: 0}).gates());
found.nowhere = await reason(() => new GateClient(undefined));
found.own = started.id;
console.log(JSON.stringify({sent, found}));
