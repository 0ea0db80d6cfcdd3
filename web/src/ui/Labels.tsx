// Labels: collections, a queue of tiles to accept, reject or skip, and the classifier that they train.
import { useEffect, useState } from "preact/hooks";
import * as calls from "../api/calls";
import { errorMessage } from "../api/http";
import { formatPercent, t } from "../i18n";
import { notify, notifyError, updateView } from "../model/actions";
import { formatDate, sensorName } from "../model/hit";
import * as labelling from "../model/labelling";
import { terms } from "../model/question";
import { annotator, setAnnotator } from "../model/storage";
import { exampleSigns, question, view } from "../model/store";
import { Thumbnail } from "./Card";
import { ClassifierPanel } from "./ClassifierPanel";
import { ErrorMessage, IconButton, Loading, RichText, useAsync } from "./components";
import { saveFile } from "./Export";
import * as icons from "./icons";
import { mapController } from "./mapController";

export function Labels() {
  const name = view.value.labels;
  return <div class="labels scroller">{name === null ? <Collections /> : <Collection key={name} name={name} />}</div>;
}

function Collections() {
  const [found, retry] = useAsync((signal) => calls.labelCollections({ signal }), []);
  return (
    <>
      <h2>{t.labels.title}</h2>
      <p class="dim">{t.labels.intro}</p>
      <NewCollection names={found.state === "done" ? found.value.map(({ name }) => name) : []} />
      {found.state === "busy" && <Loading what={t.labels.loading} />}
      {found.state === "failed" && <ErrorMessage reason={found.reason} retry={retry} />}
      {found.state === "done" && found.value.length > 0 && (
        <>
          <h3>{t.labels.collections}</h3>
          <ul class="rows">
            {found.value.map(({ name, classes, labels }) => (
              <li key={name}>
                <button type="button" class="row-button" onClick={() => updateView({ labels: name })}><b class="clip">{name}</b><span class="dim clip">{Object.values(classes).filter(Boolean).join(", ")}</span><span class="grow" /><span class="dim num">{t.labels.count(labels)}</span><icons.Next /></button>
              </li>
            ))}
          </ul>
        </>
      )}
    </>
  );
}

const MOST_NAME = 64;
/** A name that the server takes, from a sentence: "a farm with a pond" becomes farm-with-a-pond. */
const slug = (sentence: string): string => sentence.trim().toLowerCase().replace(/^(an?|the)\s+/, "").normalize("NFD").replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, MOST_NAME);

function NewCollection({ names }: { names: readonly string[] }) {
  const [typed, setTyped] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const [reason, setReason] = useState<string | null>(null);
  const sentence = typed ?? terms(question.value.text).positive[0] ?? "";
  const signed = (sign: 1 | -1): number[] => [...exampleSigns.value].filter(([, own]) => own === sign).map(([id]) => id);
  const first = { positive: signed(1), negative: signed(-1) };
  const cls = slug(sentence);
  let name = cls;
  for (let at = 2; names.includes(name); at++) name = `${cls}-${at}`;
  const create = async (): Promise<void> => {
    setBusy(true);
    try {
      await labelling.createCollection(name, { [cls]: sentence.trim() }, first);
    } catch (error) {
      setReason(errorMessage(error));
      setBusy(false);
    }
  };
  return (
    <form class="panel-form" onSubmit={(event) => { event.preventDefault(); void create(); }}>
      <label class="field-head" for="label-sentence">{t.labels.what}</label>
      <div class="row">
        <input id="label-sentence" class="grow" value={sentence} maxLength={200} placeholder={t.labels.placeholder} onInput={(event) => { setTyped(event.currentTarget.value); setReason(null); }} />
        <button type="submit" class="button primary" disabled={!cls || busy}>{t.labels.start}</button>
      </div>
      {first.positive.length + first.negative.length > 0 && <p class="hint">{t.labels.fromExamples(first.positive.length, first.negative.length)}</p>}
      {sentence.trim() && !cls && <p class="hint">{t.labels.needsLetters}</p>}
      {reason && <ErrorMessage reason={reason} />}
    </form>
  );
}

function Collection({ name }: { name: string }) {
  useEffect(() => { void labelling.openCollection(name); }, []);
  const details = labelling.details.value;
  const remove = async (): Promise<void> => {
    if (!confirm(t.labels.confirmDelete(name, details?.labels ?? 0))) return;
    try {
      await calls.deleteLabels(name);
      if (labelling.layer.value?.name === name) labelling.layer.value = null;
      updateView({ labels: null });
      notify(t.labels.deleted(name));
    } catch (error) {
      notifyError(error);
    }
  };
  return (
    <>
      <header class="row">
        <button type="button" class="button" onClick={() => updateView({ labels: null })}><icons.Back />{t.labels.all}</button>
        <h2 class="grow clip">{name}</h2>
        <IconButton label={t.labels.download} onClick={() => void calls.exportLabels(name).then((blob) => saveFile(blob, `${name}-labels.geojson`), notifyError)}><icons.Download /></IconButton>
        <IconButton label={t.common.delete(name)} onClick={() => void remove()}><icons.Trash /></IconButton>
      </header>
      {labelling.detailsError.value && <ErrorMessage reason={labelling.detailsError.value} retry={() => void labelling.openCollection(name)} />}
      {!details && !labelling.detailsError.value && <Loading what={t.labels.opening} />}
      {details && (
        <>
          <Counts details={details} />
          <QueueView classes={Object.keys(details.classes)} sentences={details.classes} />
          <ClassifierPanel details={details} />
          <label class="field annotator"><span class="field-head">{t.labels.annotator}</span><input value={annotator.value} maxLength={100} placeholder={t.labels.anonymous} onChange={(event) => setAnnotator(event.currentTarget.value)} /></label>
        </>
      )}
    </>
  );
}

function Counts({ details }: { details: calls.LabelDetails }) {
  const { counts } = details;
  return (
    <p class="row wrap label-counts" role="status">
      {Object.keys(details.classes).map((cls) => <span key={cls} class="chip for">{cls} <b class="num">{counts[cls] ?? 0}</b></span>)}
      <span class="chip against">{t.labels.none} <b class="num">{counts[labelling.NONE] ?? 0}</b></span>
      <span class="chip">{t.labels.skipped} <b class="num">{counts[labelling.SKIP] ?? 0}</b></span>
    </p>
  );
}

function QueueView({ classes, sentences }: { classes: readonly string[]; sentences: Record<string, string> }) {
  const queue = labelling.queue.value;
  const proposal = labelling.current.value;
  // The map shows where the tile lies.
  useEffect(() => { if (proposal) mapController.zoomTo(proposal.hit); }, [proposal?.hit.id]);
  if (queue.state === "idle" || queue.state === "busy") return <Loading what={t.labels.choosing} />;
  if (queue.state === "failed") return <ErrorMessage reason={queue.reason} retry={labelling.refill} />;
  const next = queue.tiles[1];
  const [first] = classes;
  return (
    <section class="queue" aria-label={t.labels.queue}>
      {proposal ? (
        <>
          <h3>{classes.length === 1 && first ? t.labels.question(sentences[first] || first) : t.labels.whatIsThis}</h3>
          <div class="large-picture"><Thumbnail key={proposal.hit.id} id={proposal.hit.id} size={512} alt={t.detail.label(proposal.hit.id)} eager /></div>
          {next && <div class="preload" aria-hidden="true"><Thumbnail key={next.hit.id} id={next.hit.id} size={512} eager /></div>}
          <p class="dim small row"><span class="grow">{sensorName(proposal.hit.sensor)} · {formatDate(proposal.hit.time)}</span>{proposal.probability !== null && <span>{t.labels.guess(proposal.cls, formatPercent(proposal.probability))}</span>}</p>
          <div class="row queue-buttons">
            {classes.map((cls, at) => <button key={cls} type="button" class="button plus grow" onClick={() => labelling.label(cls)}><icons.Check />{classes.length === 1 ? t.labels.accept : cls}<kbd>{classes.length === 1 ? "a" : at + 1}</kbd></button>)}
            <button type="button" class="button minus grow" onClick={() => labelling.label(labelling.NONE)}><icons.Close />{t.labels.reject}<kbd>r</kbd></button>
            <button type="button" class="button grow" onClick={() => labelling.label(labelling.SKIP)}>{t.labels.skip}<kbd>s</kbd></button>
            <IconButton label={t.labels.undo} keys="u" disabled={!labelling.canUndo.value} onClick={labelling.undoLabel}><icons.Undo /></IconButton>
          </div>
          <p class="hint">{t.labels.whatCounts}</p>
          <p class="hint"><RichText text={t.labels.keys} as="kbd" /></p>
        </>
      ) : (
        <div class="row wrap"><p class="dim grow">{t.labels.queueEmpty}</p><button type="button" class="button" onClick={labelling.refill}>{t.labels.moreTiles}</button>{labelling.canUndo.value && <button type="button" class="button" onClick={labelling.undoLabel}><icons.Undo />{t.labels.undo}</button>}</div>
      )}
    </section>
  );
}
