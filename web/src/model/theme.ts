// Light or dark: the setting of the system, or the user's choice.
import { computed, effect, signal } from "@preact/signals";
import { setTheme, theme } from "./storage";

const media = matchMedia("(prefers-color-scheme: dark)");
const systemIsDark = signal(media.matches);
media.addEventListener("change", () => { systemIsDark.value = media.matches; });

export const dark = computed(() => (theme.value === "auto" ? systemIsDark.value : theme.value === "dark"));
export const toggleTheme = (): void => setTheme(dark.value ? "light" : "dark");

effect(() => {
  document.documentElement.dataset["theme"] = dark.value ? "dark" : "light";
});
