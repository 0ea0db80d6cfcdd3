// A short message about the last action, with Undo where it can be undone.
import { useEffect } from "preact/hooks";
import { t } from "../i18n";
import { offline, toast } from "../model/store";

const SHORT_MS = 4000;
const LONG_MS = 9000;

export function Toast() {
  const message = toast.value;
  useEffect(() => {
    if (!message) return undefined;
    const timer = setTimeout(() => { if (toast.value === message) toast.value = null; }, message.isError || message.undo ? LONG_MS : SHORT_MS);
    return () => clearTimeout(timer);
  }, [message]);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {offline.value && <div class="toast bad"><span class="spinner" aria-hidden="true" />{t.errors.reconnecting}</div>}
      {message && <div class={`toast ${message.isError ? "bad" : ""}`}><span>{message.text}</span>{message.undo && <button type="button" class="link" onClick={() => { toast.value = null; message.undo!(); }}>{t.common.undo}</button>}</div>}
    </div>
  );
}
