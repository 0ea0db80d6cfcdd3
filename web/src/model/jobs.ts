// Jobs as the page shows them.

export interface Job {
  id: string;
  title: string;
  state: "running" | "done" | "failed" | "stopped";
  done: number;
  total: number | null;
  tiles: number;
  began: string | null;
  failures: { scene: string; reason: string }[];
}

type Raw = Record<string, unknown>;
const number = (value: unknown): number => (typeof value === "number" ? value : 0);

export function jobsOf(answer: unknown): Job[] {
  const list = Array.isArray(answer) ? answer : ((answer as { jobs?: unknown[] } | null)?.jobs ?? []);
  return (list as Raw[]).map((raw) => ({
    id: String(raw["id"] ?? raw["jobID"] ?? ""),
    title: String(raw["title"] ?? raw["id"] ?? raw["jobID"] ?? "job"),
    state: stateOf(String(raw["status"] ?? raw["state"] ?? "")),
    done: number(raw["done"] ?? raw["scenes_done"]),
    total: typeof raw["total"] === "number" ? raw["total"] : typeof raw["scenes"] === "number" ? raw["scenes"] : null,
    tiles: number(raw["tiles"]),
    began: typeof raw["started"] === "string" ? raw["started"] : typeof raw["created"] === "string" ? raw["created"] : null,
    failures: (Array.isArray(raw["failures"]) ? (raw["failures"] as Raw[]) : []).map((one) => ({ scene: String(one["href"] ?? one["scene"] ?? ""), reason: String(one["reason"] ?? one["detail"] ?? "") })),
  }));
}

function stateOf(said: string): Job["state"] {
  if (/run|accept|pend|queue/i.test(said)) return "running";
  if (/fail|error/i.test(said)) return "failed";
  if (/dismiss|stop|abort|cancel|interrupt/i.test(said)) return "stopped";
  return "done";
}
