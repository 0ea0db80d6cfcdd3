// Indexing jobs, read from GET /jobs (OGC API - Processes with counts of Bandsight).

export interface Job {
  id: string;
  title: string;
  state: "running" | "successful" | "failed" | "dismissed" | "accepted";
  message: string;
  progress: number;
  scenes: number;
  done: number;
  failed: number;
  tiles: number;
  perSecond: number;
  leftSeconds: number | null;
  started: string;
}

export interface SceneFailure { scene: string; href: string; reason: string }

interface Counts { scenes: number; added: number; skipped: number; failed: number; tiles: number; tiles_per_s: number; remaining_s: number | null }
export interface RawJob {
  jobID: string;
  processID: string;
  status: Job["state"];
  message: string;
  started: string;
  progress: number;
  "bandsight:sources": string[];
  "bandsight:counts": Counts;
  "bandsight:failures"?: SceneFailure[];
}

export function jobOf(raw: RawJob): Job {
  const counts = raw["bandsight:counts"];
  return {
    id: raw.jobID,
    title: `${raw.processID}: ${raw["bandsight:sources"].map((source) => source.replace(/\/$/, "").replace(/^.*\//, "")).join(", ")}`,
    state: raw.status,
    message: raw.message,
    progress: raw.progress,
    scenes: counts.scenes,
    done: counts.added + counts.skipped,
    failed: counts.failed,
    tiles: counts.tiles,
    perSecond: counts.tiles_per_s,
    leftSeconds: counts.remaining_s,
    started: raw.started,
  };
}
