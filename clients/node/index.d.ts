export type Verdict = "running" | "pass" | "fail" | "inconclusive" | "cancelled";

export interface Version {
  version: string;
  target?: string | null;
  labels?: Record<string, string>;
}

export interface VerifyRequest {
  service: string;
  candidate: Version;
  baseline?: Version | null;
  policy?: string | null;
  rollback?: "auto" | "off";
  deployment?: {id?: string; actor?: string; url?: string; committed_at?: string; traceparent?: string};
  [more: string]: unknown;
}

/** One gate, as `GET /gates/{id}` describes it in `/openapi.json`. */
export interface Gate {
  id: string;
  service: string;
  policy: string;
  state: string;
  /** `running` until there is one. */
  verdict: Verdict;
  /** True only of a deploy that passed. */
  may_stay: boolean;
  /** Address of its page for people. */
  page: string | null;
  [more: string]: unknown;
}

/** One count more than edges, for what was slower than the last. */
export interface Latency {
  /** Upper edges in seconds, ascending. */
  edges: number[];
  counts: number[];
  sum_seconds?: number;
}

export interface PushedCounts {
  requests: number;
  errors: number;
  latency?: Latency;
  /** Counters of your own, by name. */
  series?: Record<string, number>;
  /** Values of your own as they are now, by name. */
  values?: Record<string, number>;
  /** Requests by the values of a label: `{route: {"/checkout": {…}}}`, with latencies in the edges of all. */
  by?: Record<string, Record<string, {requests: number; errors: number; latency?: Latency}>>;
}

export interface PushedEvidence {
  /** Names the push: sent again it changes nothing. Made up if it is left out. */
  id?: string;
  sender?: string;
  candidate?: PushedCounts;
  baseline?: PushedCounts;
  /** True if the counts are since the sender began, read `at` a time. */
  totals?: boolean;
  at?: string;
}

export declare class Refused extends Error {
  readonly status: number;
  readonly problem: {title?: string; detail?: string; [more: string]: unknown};
}

export declare class Unreachable extends Error {}

/** Exit code of an answered gate, as `healthd gate verify` ends: 0 may stay, 1 failed, 2 no verdict. */
export declare function codeOf(gate: Gate): 0 | 1 | 2;

export declare class GateClient {
  /** `retryFor` and `timeout` in seconds. */
  constructor(url: string, options?: {token?: string; retryFor?: number; timeout?: number});
  verify(request: VerifyRequest, options?: {key?: string}): Promise<Gate>;
  couldStart(request: VerifyRequest): Promise<Record<string, unknown>>;
  gate(id: string, options?: {wait?: number}): Promise<Gate>;
  verdict(id: string): Promise<Gate>;
  gates(query?: {
    service?: string; state?: string; policy?: string; deployment?: string; limit?: number; before?: string;
  }): Promise<{gates: Gate[]}>;
  cancel(id: string, reason: string): Promise<Gate>;
  approve(id: string, reason: string): Promise<Gate>;
  reject(id: string, reason: string): Promise<Gate>;
  rollback(id: string, reason: string): Promise<Gate>;
  push(id: string, evidence: PushedEvidence): Promise<void>;
}
