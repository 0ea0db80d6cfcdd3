// Indexing jobs as they run: progress, what failed and why.
import { useEffect, useState } from "preact/hooks";
import { getJson, wordsOf } from "../api/http";
import { loadOverview } from "../model/actions";
import { inTime, type Job, jobOf, type RawJob } from "../model/jobs";
import { Failed, useLoaded, Waiting } from "./bits";

const EVERY_MS = 2000;

export function Jobs() {
  const [jobs, setJobs] = useState<Job[] | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const mine = new AbortController();
    let timer = 0;
    let tiles = -1;
    const look = async (): Promise<void> => {
      try {
        const found = (await getJson<{ jobs: RawJob[] }>("jobs?limit=20", { signal: mine.signal, timeoutMs: 10_000 })).jobs.map(jobOf);
        const now = found.reduce((sum, job) => sum + job.tiles + Number(job.state === "successful"), 0);
        if (tiles >= 0 && now !== tiles) void loadOverview(); // the archive holds more by now
        tiles = now;
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
  const [open, setOpen] = useState(false);
  const running = job.state === "running";
  const facts = [
    `${(job.done + job.failed).toLocaleString("en")} of ${job.scenes.toLocaleString("en")} scenes`,
    `${job.tiles.toLocaleString("en")} tiles`,
    running && job.perSecond > 0 && `${Math.round(job.perSecond)} tiles/s`,
    running && job.leftSeconds !== null && `about ${inTime(job.leftSeconds)} left`,
    !running && `began ${job.began.slice(0, 16).replace("T", " ")}`,
  ].filter(Boolean);
  return (
    <li class={`job ${job.state}`}>
      <div class="row"><b class="grow clip" title={job.title}>{job.title}</b><span class={`state ${job.state}`}>{job.state}</span></div>
      <div class="bar" role="progressbar" aria-label={`Progress of job ${job.id}`} aria-valuemin={0} aria-valuemax={100} aria-valuenow={job.progress}><span style={{ width: `${job.progress}%` }} /></div>
      <p class="dim small">{facts.join(" · ")}</p>
      {job.state === "failed" && job.message && <p class="failed-note">{job.message}</p>}
      {job.failed > 0 && (
        <details onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary>{job.failed} {job.failed === 1 ? "scene" : "scenes"} failed</summary>
          {open && <Failures id={job.id} />}
        </details>
      )}
    </li>
  );
}

function Failures({ id }: { id: string }) {
  const [loaded, retry] = useLoaded((signal) => getJson<RawJob>(`jobs/${encodeURIComponent(id)}`, { signal }), [id]);
  if (loaded.state === "busy") return <Waiting what="Asking why" />;
  if (loaded.state === "failed") return <Failed reason={loaded.reason} retry={retry} />;
  return <ul>{(loaded.value["bandsight:failures"] ?? []).map((one) => <li key={one.href}><b class="clip" title={one.href}>{one.scene || one.href}</b><span>{one.reason}</span></li>)}</ul>;
}
