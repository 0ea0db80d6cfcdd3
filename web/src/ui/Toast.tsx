// A short word on what has just happened, with a way back where there is one.
import { useEffect } from "preact/hooks";
import { said } from "../model/store";

export function Toast() {
  const now = said.value;
  useEffect(() => {
    if (!now) return undefined;
    const timer = setTimeout(() => { if (said.value === now) said.value = null; }, now.bad ? 9000 : 4000);
    return () => clearTimeout(timer);
  }, [now]);
  return (
    <div class="toasts" role="status" aria-live="polite">
      {now && <div class={`toast ${now.bad ? "bad" : ""}`}><span>{now.text}</span>{now.undo && <button type="button" class="link" onClick={() => { said.value = null; now.undo!(); }}>Undo</button>}</div>}
    </div>
  );
}
