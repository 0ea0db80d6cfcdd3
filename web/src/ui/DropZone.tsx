// Images that are dropped or pasted anywhere on the page.
import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n";
import { takeFile } from "./files";

export function DropZone() {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const hasFiles = (event: DragEvent): boolean => Boolean(event.dataTransfer?.types.includes("Files"));
    const dragOver = (event: DragEvent): void => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const dragLeave = (event: DragEvent): void => { if (!event.relatedTarget) setOver(false); };
    const drop = (event: DragEvent): void => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      setOver(false);
      const file = event.dataTransfer?.files[0];
      if (file) void takeFile(file);
    };
    const paste = (event: ClipboardEvent): void => {
      const file = [...(event.clipboardData?.files ?? [])][0];
      if (!file) return;
      event.preventDefault();
      void takeFile(file);
    };
    addEventListener("dragover", dragOver);
    addEventListener("dragleave", dragLeave);
    addEventListener("drop", drop);
    addEventListener("paste", paste);
    return () => {
      removeEventListener("dragover", dragOver);
      removeEventListener("dragleave", dragLeave);
      removeEventListener("drop", drop);
      removeEventListener("paste", paste);
    };
  }, []);
  return over ? <div class="drop" aria-hidden="true"><p>{t.search.dropImage}</p></div> : null;
}
