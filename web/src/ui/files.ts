// What becomes of a file that is chosen, dropped or pasted: an image is an example, an area is a filter.
import { t } from "../i18n";
import { notify, notifyError, toggleExample, updateFilters, updateView } from "../model/actions";
import { isAreaFile, readArea } from "../model/areaFile";
import { boundsOf } from "../model/hit";
import { readImage } from "../model/image";
import { view } from "../model/store";
import { mapController } from "./mapController";

async function searchByImage(file: File): Promise<void> {
  try {
    toggleExample(await readImage(file), 1);
  } catch (error) {
    notifyError(error);
  }
}

/** Take an area as a filter, and show it on the map. */
export async function searchInFile(file: File): Promise<void> {
  try {
    const { area, found, kept } = await readArea(file);
    const { tab } = view.value;
    updateFilters({ area });
    updateView({ tab });
    mapController.fitBox(boundsOf(area));
    notify(kept < found ? t.filters.areaSimplified(file.name, found, kept) : t.filters.areaTaken(file.name));
  } catch (error) {
    notifyError(error);
  }
}

/** Take a file that was dropped or pasted: an area or an image. */
export const takeFile = (file: File): Promise<void> => (isAreaFile(file) ? searchInFile(file) : searchByImage(file));
