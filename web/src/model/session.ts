// Signing in and out. The key itself is never stored: the server exchanges it for a cookie that scripts cannot read.
import { batch } from "@preact/signals";
import * as calls from "../api/calls";
import { whenUnauthorized, whenUnreachable } from "../api/http";
import { loadOverview, notifyError, runSearch, start } from "./actions";
import * as store from "./store";

/** What the browser wanted before the server asked for the key, relative to the page. */
const next = store.signedOut.value ? new URLSearchParams(location.hash.slice(1)).get("next") : null;
let started = false;

const RETRY_MS = 2000;
/** Where the server lives but a request keeps failing, it is not asked for ever. */
const MOST_RETRIES = 5;
let retries = 0;
let watching = false;

/** Wait until the server answers again, then load what failed in the meantime. */
async function waitForServer(): Promise<void> {
  if (watching) return;
  watching = true;
  store.offline.value = true;
  while (!(await fetch("healthz").then(({ ok }) => ok, () => false))) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  watching = false;
  store.offline.value = false;
  if (retries++ >= MOST_RETRIES) return;
  if (store.overview.value === null) await loadOverview();
  if (store.status.value.state === "failed") await runSearch();
  if (store.status.value.state === "done") retries = 0;
}

/** Start the page, or wait for the key. */
export function begin(): void {
  whenUnreachable(() => void waitForServer());
  whenUnauthorized(() => { store.signedOut.value = true; });
  if (store.signedOut.value) return;
  started = true;
  start();
  calls.getSession().then(({ signed_in }) => { store.canSignOut.value = signed_in; }, () => undefined);
}

/** Exchange the key for a cookie, then go on where the page stopped. */
export async function signIn(key: string): Promise<void> {
  await calls.signIn(key);
  const address = next === null ? null : new URL(next, document.baseURI);
  if (address && address.href.startsWith(new URL(".", document.baseURI).href)) {
    location.replace(address);
    return;
  }
  batch(() => {
    store.signedOut.value = false;
    store.canSignOut.value = true;
  });
  if (!started) begin();
  else if (store.overview.value === null) await loadOverview();
  if (store.status.value.state === "failed") await runSearch();
}

export async function signOut(): Promise<void> {
  try {
    await calls.signOut();
    location.reload();
  } catch (error) {
    notifyError(error);
  }
}
