// Indexing jobs as they run: progress, what failed and why.
import { useEffect, useState } from "preact/hooks";
import { getJson, wordsOf } from "../api/http";
import { loadOverview } from "../model/actions";
import { Failed, Waiting } from "./bits";
import { type Job, jobsOf } from "../model/jobs";

const EVERY_MS = 2000;

export function Jobs() {
  const [jobs, setJobs] = useState<Job[] | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const mine = new AbortController();
    let timer = 0;
    let running = 0;
    const look = async (): Promise<void> => {
      try {
        const found = jobsOf(await getJson<unknown>("jobs", { signal: mine.signal, timeoutMs: 10_000 }));
        const now = found.filter((job) => job.state === "running").length;
        if (now < running) void loadOverview(); // a job has ended: the archive holds more
        running = now;
        setJobs(found);
        setFailure(null);
      } catch (error) {
        if (!mine.signal.aborted) setFailure(wordsOf(error));
      }
      if (!mine.signal.aborted) timer = setTimeout(() => void look(), EVERY_MS);
    };
    void look();
    return () => {
      mine.abort();
      clearTimeout(timer);
    };
  }, [turn]);
  return (
    <section aria-label="Indexing jobs">
      <h3>Indexing jobs</h3>
      {failure && <Failed reason={failure} retry={() => setTurn(turn + 1)} />}
      {!jobs && !failure && <Waiting what="Asking for jobs" />}
      {jobs?.length === 0 && <p class="dim">None yet. <code>bandsight index SCENES --archive …</code> starts one; its progress shows here.</p>}
      <ul class="jobs">{jobs?.map((job) => <One key={job.id} job={job} />)}</ul>
    </section>
  );
}

function One({ job }: { job: Job }) {
  const share = job.total ? Math.min(1, job.done / job.total) : job.state === "running" ? null : 1;
  return (
    <li class={`job ${job.state}`}>
      <div class="row"><b class="grow clip" title={job.title}>{job.title}</b><span class={`state ${job.state}`}>{job.state}</span></div>
      <div class="bar" role="progressbar" aria-label={`Progress of ${job.title}`} aria-valuemin={0} aria-valuemax={100} {...(share === null ? {} : { "aria-valuenow": Math.round(share * 100) })}><span style={{ width: `${(share ?? 0.35) * 100}%` }} /></div>
      <p class="dim small">{job.done.toLocaleString("en")}{job.total ? ` of ${job.total.toLocaleString("en")}` : ""} scenes{job.tiles ? ` · ${job.tiles.toLocaleString("en")} tiles` : ""}{job.began ? ` · began ${job.began.slice(0, 16).replace("T", " ")}` : ""}</p>
      {job.failures.length > 0 && (
        <details><summary>{job.failures.length} failed</summary><ul>{job.failures.map((one, at) => <li key={at}><b class="clip" title={one.scene}>{one.scene}</b><span>{one.reason}</span></li>)}</ul></details>
      )}
    </li>
  );
}
