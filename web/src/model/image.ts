// Images that are dropped, pasted or chosen: read as base64, with a preview where the browser can show them.
import { t } from "../i18n";
import type { Part } from "./question";

const MIB = 2 ** 20;
const MAX_MIB = 20;
/** Base64 of the first bytes of TIFF and BigTIFF, little- and big-endian. */
const TIFF = /^(SUkq|TU0A|SUkr|TU0AKw)/;

export async function readImage(file: File): Promise<Part> {
  if (file.size > MAX_MIB * MIB) throw new Error(t.errors.imageTooLarge(file.name, Math.round(file.size / MIB), MAX_MIB));
  if (!file.size) throw new Error(t.errors.imageEmpty(file.name));
  const data = base64(new Uint8Array(await file.arrayBuffer()));
  const preview = previewUrl(data);
  if (!preview && !TIFF.test(data)) throw new Error(t.errors.imageFormat(file.name));
  return { kind: "image", name: file.name || t.search.pastedImage, data, preview, wavelengths: null };
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** A data URL of the image; null for GeoTIFF, which browsers do not show. */
export function previewUrl(data: string): string | null {
  if (data.startsWith("iVBORw0KGgo")) return `data:image/png;base64,${data}`;
  if (data.startsWith("/9j/")) return `data:image/jpeg;base64,${data}`;
  if (data.startsWith("UklGR")) return `data:image/webp;base64,${data}`;
  return null;
}
