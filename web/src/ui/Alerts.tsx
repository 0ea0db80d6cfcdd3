// Alerts: searches that go on, what they found since the last visit, and everything that they found before.
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import * as calls from "../api/calls";
import { errorMessage } from "../api/http";
import { formatNumber, formatPercent, formatScore, formatTime, t } from "../i18n";
import { notify, notifyError, submit, updateView } from "../model/actions";
import { formatDate } from "../model/hit";
import { type Body, isClassifierSearch, summary, toBody } from "../model/question";
import { fromBody } from "../model/restore";
import { seenAlert, setSeenAlert } from "../model/storage";
import { question, searchable } from "../model/store";
import { Thumbnail } from "./Card";
import { ErrorMessage, Field, IconButton, Loading, useAsync } from "./components";
import * as icons from "./icons";

const PAGE = 60;
/** How many alerts there are that this browser has not shown, for the tab; null before it is known. */
export const unseen = signal(0);

/** Ask whether there are new alerts, once at the start. A server without alerts costs one small request. */
export async function countUnseen(): Promise<void> {
  try {
    unseen.value = (await calls.alerts(PAGE, null)).filter(({ number }) => number > seenAlert.value).length;
  } catch {
    unseen.value = 0; // the tab itself says what is wrong
  }
}

export function Alerts() {
  const [subscriptions, retry] = useAsync((aborted) => calls.subscriptions({ signal: aborted }), []);
  const [kept, setKept] = useState<calls.Subscription[] | null>(null);
  const list = kept ?? (subscriptions.state === "done" ? subscriptions.value : []);
  return (
    <div class="alerts scroller">
      <h2>{t.alerts.title}</h2>
      <p class="dim">{t.alerts.intro}</p>
      <WatchForm onMade={(made) => setKept([made, ...list])} />
      {subscriptions.state === "busy" && <Loading what={t.alerts.loading} />}
      {subscriptions.state === "failed" && <ErrorMessage reason={subscriptions.reason} retry={retry} />}
      {list.length > 0 && <><h3>{t.alerts.watched}</h3><ul class="rows">{list.map((one) => <SubscriptionRow key={one.id} subscription={one} onChange={(next) => setKept(next ? list.map((other) => (other.id === next.id ? next : other)) : list.filter(({ id }) => id !== one.id))} />)}</ul></>}
      <History watched={new Map(list.map((one) => [one.id, one]))} />
    </div>
  );
}

const RANKS = [1, 10, 50, 200];
const PROBABILITIES = [0.3, 0.5, 0.8];
/** `rank:10` or `probability:0.5`, as the value of the select. */
type Threshold = `${"rank" | "probability"}:${number}`;

/** The members of a request for a threshold: a classifier's scores are probabilities. */
function thresholdMembers(threshold: Threshold): Body {
  const [kind, value] = threshold.split(":");
  if (kind === "rank") return { rank: Number(value) };
  return isClassifierSearch(question.value) ? { min_score: Number(value) } : { min_probability: Number(value) };
}

function WatchForm({ onMade }: { onMade: (made: calls.Subscription) => void }) {
  const [threshold, setThreshold] = useState<Threshold>("rank:10");
  const [recipient, setRecipient] = useState("");
  const [digest, setDigest] = useState("");
  const [secret, setSecret] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [reason, setReason] = useState<string | null>(null);
  if (!searchable.value) return <p class="hint">{t.alerts.searchFirst}</p>;
  const watch = async (): Promise<void> => {
    setBusy(true);
    setReason(null);
    const to = recipient.trim();
    const delivery = to ? { [to.includes("://") ? "webhook" : "email"]: to, ...(digest ? { digest } : {}) } : {};
    try {
      const made = await calls.subscribe({ ...toBody({ ...question.value, group: "tile" }), ...thresholdMembers(threshold), ...delivery, title: summary(question.value).slice(0, 200) });
      setSecret(made.secret ?? null);
      onMade(made);
      notify(t.alerts.made);
    } catch (error) {
      setReason(errorMessage(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form class="panel-form" onSubmit={(event) => { event.preventDefault(); void watch(); }}>
      <p><b>{summary(question.value)}</b></p>
      <Field label={t.alerts.when}><select aria-label={t.alerts.when} value={threshold} onChange={(event) => setThreshold(event.currentTarget.value as Threshold)}>
        {RANKS.map((one) => <option key={one} value={`rank:${one}`}>{t.alerts.rank(one)}</option>)}
        {PROBABILITIES.map((one) => <option key={one} value={`probability:${one}`}>{t.alerts.probability(formatPercent(one))}</option>)}
      </select></Field>
      <Field label={t.alerts.recipient}><input aria-label={t.alerts.recipient} value={recipient} maxLength={2000} placeholder={t.alerts.recipientExample} onInput={(event) => setRecipient(event.currentTarget.value)} /></Field>
      {recipient.trim() !== "" && <Field label={t.alerts.digest}><select aria-label={t.alerts.digest} value={digest} onChange={(event) => setDigest(event.currentTarget.value)}><option value="">{t.alerts.atOnce}</option><option value="hourly">{t.alerts.hourly}</option><option value="daily">{t.alerts.daily}</option></select></Field>}
      <div class="row end"><button type="submit" class="button primary" disabled={busy}><icons.Bell />{t.alerts.watch}</button></div>
      {secret && <p class="hint">{t.alerts.secret} <code>{secret}</code></p>}
      {reason && <ErrorMessage reason={reason} />}
    </form>
  );
}

function SubscriptionRow({ subscription, onChange }: { subscription: calls.Subscription; onChange: (next: calls.Subscription | null) => void }) {
  const { id, title, paused, created, webhook, email } = subscription;
  const open = (): void => submit({ ...fromBody(subscription.request), limit: question.value.limit });
  const test = (): void => void calls.testSubscription(id).then(({ delivered, error }) => { if (delivered) notify(t.alerts.tested); else notifyError(new Error(t.alerts.notDelivered(error))); }, notifyError);
  const remove = async (): Promise<void> => {
    if (!confirm(t.alerts.confirmDelete(title))) return;
    try {
      await calls.unsubscribe(id);
      onChange(null);
    } catch (error) {
      notifyError(error);
    }
  };
  const recipient = webhook ? t.alerts.webhook : email;
  return (
    <li class={`subscription ${paused ? "paused" : ""}`}>
      <button type="button" class="row-button" title={t.alerts.open} onClick={open}><b class="clip">{title || t.search.untitled}</b><span class="dim small">{paused ? t.alerts.paused : t.alerts.since(formatDate(created))}{recipient ? ` · ${recipient}` : ""}</span></button>
      {recipient && <IconButton label={t.alerts.test(title)} onClick={test}><icons.Bell /></IconButton>}
      <IconButton label={paused ? t.alerts.resume(title) : t.alerts.pause(title)} onClick={() => void calls.pauseSubscription(id, !paused).then(onChange, notifyError)}>{paused ? <icons.Play /> : <icons.Pause />}</IconButton>
      <IconButton label={t.common.delete(title)} onClick={() => void remove()}><icons.Trash /></IconButton>
    </li>
  );
}

function History({ watched }: { watched: ReadonlyMap<string, calls.Subscription> }) {
  const [found, retry] = useAsync((aborted) => calls.alerts(PAGE, null, { signal: aborted }), []);
  const [older, setOlder] = useState<calls.Alert[]>([]);
  const [isAll, setAll] = useState(false);
  // What was new when this view was opened stays marked while it is open.
  const [seen] = useState(seenAlert.value);
  const newest = found.state === "done" ? (found.value[0]?.number ?? 0) : 0;
  useEffect(() => {
    if (found.state !== "done") return;
    setSeenAlert(newest);
    unseen.value = 0;
  }, [newest, found.state]);
  if (found.state === "busy") return <Loading what={t.alerts.loadingHistory} />;
  if (found.state === "failed") return <ErrorMessage reason={found.reason} retry={retry} />;
  const all = [...found.value, ...older];
  const fresh = all.filter(({ number }) => number > seen);
  const former = all.filter(({ number }) => number <= seen);
  const more = (): void => void calls.alerts(PAGE, all.at(-1)!.number).then((next) => { setOlder([...older, ...next]); setAll(next.length < PAGE); }, notifyError);
  if (!all.length) return <p class="dim">{t.alerts.none}</p>;
  return (
    <>
      <h3>{t.alerts.fresh} <span class="dim num">{formatNumber(fresh.length)}</span></h3>
      {fresh.length ? <AlertList alerts={fresh} watched={watched} isNew /> : <p class="dim">{t.alerts.nothingNew}</p>}
      {former.length > 0 && <><h3>{t.alerts.history}</h3><AlertList alerts={former} watched={watched} /></>}
      {found.value.length === PAGE && !isAll && <button type="button" class="button" onClick={more}>{t.alerts.older}</button>}
    </>
  );
}

function AlertList({ alerts, watched, isNew = false }: { alerts: readonly calls.Alert[]; watched: ReadonlyMap<string, calls.Subscription>; isNew?: boolean }) {
  return (
    <ul class="rows">
      {alerts.map((alert) => (
        <li key={alert.number} class={isNew ? "new" : ""}>
          <button type="button" class="row-button alert" onClick={() => updateView({ tab: "search", tile: alert.tile })}>
            <Thumbnail id={alert.tile} size={64} />
            <span class="grow"><b class="clip">{watched.get(alert.subscription)?.title ?? alert.scene ?? t.search.tile(alert.tile)}</b><span class="dim small">{foundText(alert, watched.get(alert.subscription))}</span>{alert.state === "failed" && <span class="failed-note small">{t.alerts.notDelivered(alert.error)}</span>}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

/** When an alert was raised, and how good the match is: a probability where the subscription has one. */
function foundText(alert: calls.Alert, of: calls.Subscription | undefined): string {
  const isProbability = of !== undefined && (of.min_probability !== null || JSON.stringify(of.request).includes("classifier"));
  return isProbability ? t.alerts.foundLikely(formatTime(alert.created), formatPercent(alert.score)) : t.alerts.found(formatTime(alert.created), formatScore(alert.score));
}
