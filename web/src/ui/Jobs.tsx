// Indexing jobs: their progress, and which scenes failed and why.
import { useEffect, useState } from "preact/hooks";
import { errorMessage, getJson } from "../api/http";
import { formatDuration, formatTime, t } from "../i18n";
import { loadOverview } from "../model/actions";
import { type Job, jobOf, type RawJob } from "../model/jobs";
import { ErrorMessage, Loading, RichText, useAsync } from "./components";

const POLL_MS = 2000;
const TIMEOUT_MS = 10_000;

export function Jobs() {
  const [jobs, setJobs] = useState<Job[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    const controller = new AbortController();
    let timer = 0;
    let progress = -1;
    const poll = async (): Promise<void> => {
      try {
        const latest = (await getJson<{ jobs: RawJob[] }>("jobs?limit=20", { signal: controller.signal, timeoutMs: TIMEOUT_MS })).jobs.map(jobOf);
        const sum = latest.reduce((total, job) => total + job.tiles + Number(job.state === "successful"), 0);
        if (progress >= 0 && sum !== progress) void loadOverview(); // the archive has grown
        progress = sum;
        setJobs(latest);
        setError(null);
      } catch (failure) {
        if (!controller.signal.aborted) setError(errorMessage(failure));
      }
      if (!controller.signal.aborted) timer = setTimeout(() => void poll(), POLL_MS);
    };
    void poll();
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [attempt]);
  return (
    <section aria-label={t.jobs.title}>
      <h3>{t.jobs.title}</h3>
      {error && <ErrorMessage reason={error} retry={() => setAttempt(attempt + 1)} />}
      {!jobs && !error && <Loading what={t.jobs.loading} />}
      {jobs?.length === 0 && <p class="dim"><RichText text={t.jobs.none} as="code" /></p>}
      <ul class="jobs">{jobs?.map((job) => <JobRow key={job.id} job={job} />)}</ul>
    </section>
  );
}

function JobRow({ job }: { job: Job }) {
  const [open, setOpen] = useState(false);
  const running = job.state === "running";
  const facts = [
    t.jobs.scenes(job.done + job.failed, job.scenes),
    t.jobs.tiles(job.tiles),
    running && job.perSecond > 0 && t.jobs.rate(job.perSecond),
    running && job.leftSeconds !== null && t.jobs.left(formatDuration(job.leftSeconds)),
    !running && t.jobs.started(formatTime(job.started)),
  ].filter(Boolean);
  return (
    <li class={`job ${job.state}`}>
      <div class="row"><b class="grow clip" title={job.title}>{job.title}</b><span class={`state ${job.state}`}>{t.jobs.states[job.state]}</span></div>
      <div class="bar" role="progressbar" aria-label={t.jobs.progress(job.id)} aria-valuemin={0} aria-valuemax={100} aria-valuenow={job.progress}><span style={{ width: `${job.progress}%` }} /></div>
      <p class="dim small">{facts.join(" · ")}</p>
      {job.state === "failed" && job.message && <p class="failed-note">{job.message}</p>}
      {job.failed > 0 && (
        <details onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary>{t.jobs.failed(job.failed)}</summary>
          {open && <SceneFailures id={job.id} />}
        </details>
      )}
    </li>
  );
}

function SceneFailures({ id }: { id: string }) {
  const [job, retry] = useAsync((signal) => getJson<RawJob>(`jobs/${encodeURIComponent(id)}`, { signal }), [id]);
  if (job.state === "busy") return <Loading what={t.jobs.loadingErrors} />;
  if (job.state === "failed") return <ErrorMessage reason={job.reason} retry={retry} />;
  return <ul>{(job.value["bandsight:failures"] ?? []).map(({ href, scene, reason }) => <li key={href}><b class="clip" title={href}>{scene || href}</b><span>{reason}</span></li>)}</ul>;
}
