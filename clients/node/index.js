// Client of the gate API of one healthd, as the Python client is: it prints nothing and decides nothing.

import {randomUUID} from "node:crypto";
import {setTimeout as sleep} from "node:timers/promises";

const AGAIN = new Set([408, 429, 502, 503, 504]);
const FIRST_PAUSE = 0.5, LONGEST_PAUSE = 10, RECONNECT = 2; // seconds
const POLL = 25; // seconds to hold a call open: proxies cut connections that are silent for 30 or 60
const MARGIN = 10; // seconds that the answer to a held call may be late

/** The daemon refused the call; `problem` is its problem document. */
export class Refused extends Error {
  constructor(status, problem) {
    const title = problem.title ?? `status ${status}`;
    super(problem.detail ? `${title}: ${problem.detail}` : title);
    Object.assign(this, {name: "Refused", status, problem});
  }
}

/** The daemon gave no usable answer until the timeout. */
export class Unreachable extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = "Unreachable";
  }
}

/** Exit code of an answered gate, as `healthd gate verify` ends: 0 may stay, 1 failed, 2 no verdict. */
export function codeOf(gate) {
  if (gate.may_stay) return 0;
  return ["inconclusive", "cancelled", "running"].includes(gate.verdict) && gate.rollback == null ? 2 : 1;
}

/** The gates of one daemon. Calls are tried again for `retryFor` seconds: each may be sent twice without harm. */
export class GateClient {
  #url; #token; #retryFor; #timeout;

  constructor(url, {token, retryFor = 60, timeout = 15} = {}) {
    if (url == null || url === "") {
      throw new TypeError("no address of a daemon was given: set HEALTHD_URL, or write http://host:port");
    }
    if (!/^https?:\/\/./.test(url)) {
      throw new TypeError(`${JSON.stringify(url)} is not the address of a daemon: write http://host:port`);
    }
    this.#url = new URL(url).href.replace(/\/+$/, "");
    this.#token = token;
    this.#retryFor = retryFor;
    this.#timeout = timeout;
  }

  /** Start a gate, or join the one that was started with the same key. Does not wait for the verdict. */
  verify(request, {key = randomUUID()} = {}) {
    return this.#ask("POST", "/gates/verify", {body: request, headers: {"Idempotency-Key": key}, fine: [412]});
  }

  /** What is doubtful about a gate that could start now. Starts none. */
  couldStart(request) {
    return this.#ask("POST", "/gates/verify/dry-run", {body: request});
  }

  /** One gate; with `wait`, once it is answered or after that many seconds. */
  gate(id, {wait = 0} = {}) {
    return this.#ask("GET", `/gates/${encodeURIComponent(id)}`, {query: wait ? {wait: `${wait}s`} : {}, held: wait});
  }

  /** The gate once it is answered, however long that takes. */
  async verdict(id) {
    for (;;) {
      const gate = await this.gate(id, {wait: POLL});
      if (gate.verdict !== "running") return gate;
      await sleep(RECONNECT * 1000); // a daemon that stops releases the call at once
    }
  }

  /** A page of gates, newest first. */
  gates(query = {}) {
    return this.#ask("GET", "/gates", {query});
  }

  cancel(id, reason) {
    return this.#act(id, "cancel", {reason});
  }

  /** Pass a held gate, as a person's verdict. */
  approve(id, reason) {
    return this.#act(id, "approve", {reason});
  }

  /** Fail a held gate, as a person's verdict. */
  reject(id, reason) {
    return this.#act(id, "reject", {reason});
  }

  rollback(id, reason) {
    return this.#act(id, "rollback", {reason, idempotency_key: randomUUID()});
  }

  /** Send counts. A push without an `id` gets one, so that a retry counts once. */
  async push(id, evidence) {
    await this.#act(id, "evidence", {id: randomUUID(), ...evidence});
  }

  #act(id, what, body) {
    return this.#ask("POST", `/gates/${encodeURIComponent(id)}/${what}`, {body});
  }

  async #ask(method, path, {query = {}, headers = {}, body, held = 0, fine = []} = {}) {
    const url = new URL(this.#url + path);
    for (const [name, value] of Object.entries(query)) if (value != null) url.searchParams.set(name, value);
    const answer = await this.#send(url, {
      method,
      redirect: "manual", // a token is sent to nobody but the daemon that it is meant for
      headers: {
        Accept: "application/json",
        ...(body && {"Content-Type": "application/json"}),
        ...(this.#token && {Authorization: `Bearer ${this.#token}`}),
        ...headers,
      },
      body: body && JSON.stringify(body),
    }, this.#timeout + (held ? held + MARGIN : 0));
    const document = parsed(answer.text);
    if (answer.ok || fine.includes(answer.status)) {
      if (document !== undefined || answer.text === "") return document;
    } else if (document?.title) {
      throw new Refused(answer.status, document);
    }
    throw new Unreachable(
      `${this.#url} answers ${answer.status}, and not as healthd does: does it lead to the daemon, and not to an application or a proxy?`,
    );
  }

  /** The daemon's answer; the last one if it only ever said that it cannot answer now. */
  async #send(url, options, seconds) {
    const deadline = Date.now() + this.#retryFor * 1000;
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      let answer, failure, asked;
      try {
        const response = await fetch(url, {...options, signal: AbortSignal.timeout(seconds * 1000)});
        answer = {status: response.status, ok: response.ok, text: await response.text()};
        if (!AGAIN.has(answer.status)) return answer;
        asked = Number(response.headers.get("Retry-After")) || 0; // seconds; of a date the own pause is good enough
      } catch (error) {
        failure = error;
      }
      const wait = 1000 * (asked || pause * (0.5 + Math.random() / 2));
      if (Date.now() + wait > deadline) {
        if (answer) return answer;
        const reason = failure.cause?.code ?? failure.cause?.message ?? failure.message;
        throw new Unreachable(`${this.#url} could not be asked for ${this.#retryFor} s: ${reason}`, {cause: failure});
      }
      await sleep(wait);
    }
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
