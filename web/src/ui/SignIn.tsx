// Asks for the server's key: as the whole page at first, as a dialog when a session ends while the page is open.
import { useEffect, useRef, useState } from "preact/hooks";
import { errorMessage, RequestError } from "../api/http";
import { t } from "../i18n";
import { signIn } from "../model/session";
import * as icons from "./icons";

const UNAUTHORIZED = 401;

export function SignInPage() {
  return <main class="alone"><div class="sign-in"><icons.Brand /><h1>{t.signIn.title}</h1><KeyForm intro={t.signIn.intro} /></div></main>;
}

export function SignInDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => { dialog.current?.showModal(); }, []);
  return (
    <dialog class="sign-in" ref={dialog} aria-label={t.signIn.expired} onCancel={(event) => event.preventDefault()}>
      <h2>{t.signIn.expired}</h2><KeyForm intro={t.signIn.kept} />
    </dialog>
  );
}

function KeyForm({ intro }: { intro: string }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const key = input.current!.value.trim();
    if (!key) {
      setError(t.signIn.missing);
      return;
    }
    setBusy(true);
    try {
      await signIn(key);
    } catch (failure) {
      setError(failure instanceof RequestError && failure.status === UNAUTHORIZED ? t.signIn.wrong : errorMessage(failure));
      input.current?.select();
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)}>
      <p id="key-intro">{intro}</p>
      <label for="key">{t.signIn.key}</label>
      {/* Password managers store a key under a name. */}
      <input type="text" name="username" class="hidden" value="bandsight" autocomplete="username" tabIndex={-1} aria-hidden="true" readOnly />
      <input ref={input} id="key" type="password" name="key" autocomplete="current-password" maxLength={1000} aria-describedby="key-intro" aria-invalid={error !== null} onInput={() => setError(null)} />
      {error && <p class="bad" role="alert">{error}</p>}
      <button type="submit" class="button primary" disabled={busy}>{busy ? t.signIn.busy : t.signIn.submit}</button>
    </form>
  );
}
