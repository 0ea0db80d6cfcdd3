// Pictures that are dropped, pasted or chosen: read as base64, with a preview where the browser can show them.
import type { Part } from "./question";

const MOST_BYTES = 20 * 2 ** 20;

export async function pictureOf(file: File): Promise<Part> {
  if (file.size > MOST_BYTES) throw new Error(`${file.name}: ${Math.round(file.size / 2 ** 20)} MB; at most 20 MB are taken.`);
  if (!file.size) throw new Error(`${file.name}: the file is empty.`);
  const data = base64(new Uint8Array(await file.arrayBuffer()));
  const preview = previewOf(data);
  if (!preview && !/^(SUkq|TU0A|SUkr|TU0AKw)/.test(data)) throw new Error(`${file.name}: not a PNG, JPEG, WebP or GeoTIFF picture.`);
  return { kind: "picture", name: file.name || "pasted picture", data, preview, wavelengths: null };
}

function base64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text);
}

/** An address that shows the picture, told by its first bytes; null for GeoTIFF, which browsers do not show. */
export function previewOf(data: string): string | null {
  if (data.startsWith("iVBORw0KGgo")) return `data:image/png;base64,${data}`;
  if (data.startsWith("/9j/")) return `data:image/jpeg;base64,${data}`;
  if (data.startsWith("UklGR")) return `data:image/webp;base64,${data}`;
  return null;
}
