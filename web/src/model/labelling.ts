// Labelling: an open collection, the queue of tiles to look at, training, and the layer on the map.
import { batch, computed, signal } from "@preact/signals";
import * as calls from "../api/calls";
import { errorMessage } from "../api/http";
import { t } from "../i18n";
import { notify, notifyError, updateView } from "./actions";
import { annotator } from "./storage";
import * as store from "./store";

/** The classes that every collection has beside its own. */
export const NONE = "none";
export const SKIP = "skip";
const QUEUE_LENGTH = 20;
/** Fetch more while so few are left, so that nobody waits. */
const REFILL_AT = 4;

export type Queue = { state: "idle" } | { state: "busy" } | { state: "done"; tiles: calls.Proposal[] } | { state: "failed"; reason: string };

export const details = signal<calls.LabelDetails | null>(null);
export const detailsError = signal<string | null>(null);
export const versions = signal<calls.Classifier[]>([]);
export const queue = signal<Queue>({ state: "idle" });
export const training = signal(false);
export const current = computed<calls.Proposal | null>(() => (queue.value.state === "done" ? (queue.value.tiles[0] ?? null) : null));
/** What was labelled since the collection was opened, the last first: it can be taken back. */
const done = signal<{ proposal: calls.Proposal; cls: string }[]>([]);
export const canUndo = computed(() => done.value.length > 0);
/** The classifier whose probabilities the map shows. */
export const layer = signal<{ name: string; cls: string; version: number; search: string; high: number } | null>(null);
/** Below this greatest probability, the colours of a layer end at what there is: else nothing would be seen. */
const FULL_SCALE = 0.5;
export const layerOpacity = signal(0.75);

const who = (): string => annotator.value.trim() || "anonymous";
/** Requests about labels, one after another: the server sees them in the order of the keys that were pressed. */
let writes: Promise<unknown> = Promise.resolve();

export async function openCollection(name: string): Promise<void> {
  batch(() => {
    details.value = null;
    detailsError.value = null;
    versions.value = [];
    queue.value = { state: "busy" };
    done.value = [];
  });
  try {
    const [opened, trained] = await Promise.all([calls.labelDetails(name), calls.classifiers(name)]);
    if (store.view.value.labels !== name) return;
    batch(() => {
      details.value = opened;
      versions.value = trained;
    });
    await fill(name);
  } catch (error) {
    if (store.view.value.labels === name) detailsError.value = errorMessage(error);
  }
}

/** Make a collection, give its first labels, and open it. */
export async function createCollection(name: string, classes: Record<string, string>, first: { positive: number[]; negative: number[] }): Promise<void> {
  const [cls] = Object.keys(classes);
  await calls.createLabels(name, classes);
  if (cls && first.positive.length) await calls.addLabels(name, cls, first.positive, who());
  if (first.negative.length) await calls.addLabels(name, NONE, first.negative, who());
  updateView({ tab: "labels", labels: name });
}

async function fill(name: string): Promise<void> {
  try {
    const proposed = await calls.proposals(name, QUEUE_LENGTH);
    if (store.view.value.labels !== name) return;
    const labelled = new Set(done.value.map(({ proposal }) => proposal.hit.id));
    const before = queue.value.state === "done" ? queue.value.tiles : [];
    const known = new Set(before.map(({ hit }) => hit.id));
    queue.value = { state: "done", tiles: [...before, ...proposed.filter(({ hit }) => !labelled.has(hit.id) && !known.has(hit.id))] };
  } catch (error) {
    if (store.view.value.labels === name && queue.value.state !== "done") queue.value = { state: "failed", reason: errorMessage(error) };
  }
}

export const refill = (): void => {
  const { labels } = store.view.value;
  if (labels === null) return;
  queue.value = { state: "busy" };
  void fill(labels);
};

/** Change how many labels of a class are shown, without asking the server. */
function countLabel(cls: string, by: 1 | -1): void {
  const shown = details.value;
  if (shown) details.value = { ...shown, labels: shown.labels + by, counts: { ...shown.counts, [cls]: (shown.counts[cls] ?? 0) + by } };
}

/** Label the tile that is shown, and go on to the next. */
export function label(cls: string): void {
  const [name, proposal] = [store.view.value.labels, current.value];
  if (name === null || proposal === null || queue.value.state !== "done") return;
  const left = queue.value.tiles.slice(1);
  batch(() => {
    queue.value = { state: "done", tiles: left };
    done.value = [{ proposal, cls }, ...done.value];
    countLabel(cls, 1);
  });
  const write = writes.then(() => calls.addLabels(name, cls, [proposal.hit.id], who()));
  writes = write.then(
    () => (left.length <= REFILL_AT ? fill(name) : undefined),
    (error: unknown) => {
      notifyError(error);
      // The tile comes back: nothing is lost.
      batch(() => {
        done.value = done.value.filter((one) => one.proposal !== proposal);
        if (queue.value.state === "done") queue.value = { state: "done", tiles: [proposal, ...queue.value.tiles] };
        countLabel(cls, -1);
      });
    },
  );
}

/** Take the last label back, and show its tile again. */
export function undoLabel(): void {
  const [name, last] = [store.view.value.labels, done.value[0]];
  if (name === null || !last) return;
  batch(() => {
    done.value = done.value.slice(1);
    queue.value = { state: "done", tiles: [last.proposal, ...(queue.value.state === "done" ? queue.value.tiles : [])] };
    countLabel(last.cls, -1);
  });
  writes = writes.then(() => calls.removeLabel(name, last.proposal.hit.id, who())).catch(notifyError);
}

/** Train a classifier of the labels there are, and show its layer again where an older one is on the map. */
export async function train(): Promise<void> {
  const name = store.view.value.labels;
  if (name === null || training.value) return;
  training.value = true;
  try {
    await writes;
    const trained = await calls.trainClassifier(name);
    if (store.view.value.labels !== name) return;
    versions.value = [trained, ...versions.value];
    notify(t.labels.trained(trained.version));
    if (layer.value?.name === name) await showLayer(trained, layer.value.cls);
    refill();
  } catch (error) {
    notifyError(error);
  } finally {
    training.value = false;
  }
}

/** What a search calls the class of a classifier. */
export const termOf = ({ name, version, classes }: calls.Classifier, cls: string): string => `${name}${classes.length > 1 ? `/${cls}` : ""}@${version}`;

/** Show the probabilities of a classifier on the map: a saved search, whose heat map has the layer's tiles. */
export async function showLayer(classifier: calls.Classifier, cls: string): Promise<void> {
  const term = termOf(classifier, cls);
  const { id } = await calls.saveSearch({ semantic: { classifier: term } }, `classifier:${term}`, 1000);
  const [, top] = (await calls.heatLegend(id)).range;
  layer.value = { name: classifier.name, cls, version: classifier.version, search: id, high: top >= FULL_SCALE ? 1 : Math.max(top, 0.001) };
}
