// Where the reader was in the list of images, so that the way back from one of them leads there, and on to the next one.

const SOON_MS = 1000;
const LONG_MS = 600000;

let kept = null;

// key: the list's filter; address: in the hash; images, cursor and the like as a Loader has them; scroll: of the window.
export function keep(place) {
  kept = { ...place, at: Date.now(), visited: false };
}

// That place, when the reader comes back from an image, or only changed the language; else null: the list is read anew.
export function keptFor(key) {
  const age = Date.now() - (kept?.at ?? 0);
  return kept?.key === key && age < (kept.visited ? LONG_MS : SOON_MS) ? kept : null;
}

// Something has changed: the list has to be read anew.
export function forget() {
  if (kept) kept.key = "";
}

// The images before and after this one in the list that was shown last: {before, after}, null for none.
export function neighbours(id) {
  if (kept) kept.visited = true;
  const images = kept?.images ?? [];
  const at = images.findIndex((image) => image.id === id);
  return { before: (at > 0 && images[at - 1]) || null, after: (at >= 0 && images[at + 1]) || null };
}

// The address of that list.
export const listAddress = () => kept?.address ?? "#/images";
