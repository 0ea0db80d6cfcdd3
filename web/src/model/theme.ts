// Light or dark: what the system says, or what was chosen here.
import { computed, effect, signal } from "@preact/signals";
import { setTheme, theme } from "./kept";

const media = matchMedia("(prefers-color-scheme: dark)");
const system = signal(media.matches);
media.addEventListener("change", () => { system.value = media.matches; });

export const dark = computed(() => (theme.value === "auto" ? system.value : theme.value === "dark"));
export const toggle = (): void => setTheme(dark.value ? "light" : "dark");

effect(() => {
  document.documentElement.dataset["theme"] = dark.value ? "dark" : "light";
});
