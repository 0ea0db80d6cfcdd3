// A dialog with all keyboard shortcuts.
import { useEffect, useRef } from "preact/hooks";
import { LANGUAGE, LANGUAGES, t } from "../i18n";
import { setLanguage } from "../model/storage";
import { helpOpen } from "../model/store";
import { IconButton } from "./components";
import * as icons from "./icons";

export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => { dialog.current?.showModal(); }, []);
  const close = (): void => { helpOpen.value = false; };
  return (
    <dialog class="help" ref={dialog} aria-label={t.help.title} onClose={close} onCancel={close} onClick={(event) => event.target === dialog.current && close()}>
      <div class="dialog-body">
        <header class="row"><h2 class="grow">{t.help.title}</h2><IconButton label={t.common.close} keys="Esc" onClick={close}><icons.Close /></IconButton></header>
        <dl class="keys">{t.help.shortcuts.map(([keys, what]) => <div key={what}><dt>{keys.map((key) => <kbd key={key}>{key}</kbd>)}</dt><dd>{what}</dd></div>)}</dl>
        <p class="hint">{t.help.scores}</p>
        <p class="hint">{t.help.attribution}</p>
        <p class="row"><label class="row grow">{t.app.language}<select aria-label={t.app.language} value={LANGUAGE} onChange={(event) => { setLanguage(event.currentTarget.value); location.reload(); }}>{Object.entries(LANGUAGES).map(([tag, name]) => <option key={tag} value={tag} lang={tag}>{name}</option>)}</select></label></p>
        <p><a href="docs">{t.help.apiDocs}</a></p>
      </div>
    </dialog>
  );
}
