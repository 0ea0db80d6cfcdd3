// All keys, in one dialog.
import { useEffect, useRef } from "preact/hooks";
import { help } from "../model/store";
import { IconButton } from "./bits";
import * as icons from "./icons";

export const KEYS: readonly (readonly [string[], string])[] = [
  [["/"], "to the search box"],
  [["j", "k"], "next, previous place"],
  [["Enter"], "open the place"],
  [["+", "−"], "more, less like it"],
  [["s"], "keep it in the selection"],
  [["c"], "compare it with the one before"],
  [["z"], "zoom the map to it"],
  [["f"], "fit the map to the results"],
  [["b", "p"], "draw a box, a polygon"],
  [["h"], "heat map of the question"],
  [["Esc"], "back, close, stop drawing"],
  [["?"], "this list"],
];

export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => { dialog.current?.showModal(); }, []);
  const close = (): void => { help.value = false; };
  return (
    <dialog class="help" ref={dialog} aria-label="Keys" onClose={close} onCancel={close} onClick={(event) => event.target === dialog.current && close()}>
      <div class="dialog-body">
        <header class="row"><h2 class="grow">Keys</h2><IconButton label="Close" keys="Esc" onClick={close}><icons.Close /></IconButton></header>
        <dl class="keys">{KEYS.map(([keys, what]) => <div key={what}><dt>{keys.map((key) => <kbd key={key}>{key}</kbd>)}</dt><dd>{what}</dd></div>)}</dl>
        <p class="hint">Scores are cosines between your question and a tile. The percentage is the calibrated probability that a tile shows what a sentence says; ✓ marks those likely enough to count. Probabilities belong to sentences: likeness to examples has none.</p>
      </div>
    </dialog>
  );
}
