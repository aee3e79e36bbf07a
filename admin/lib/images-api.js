// Stored images over the HTTP API: one, page after page, and where the reader was.

import { del, get, patch, post, request, url } from "./api.js";
import { forList } from "./images-find.js";
import { look, passes } from "./state.js";

const ROUTE = "/image-cache/images";

export const PAGE = 60;

// {images, cursor, total, examined} as docs/http-api.md has it.
export function listImages(filter, { cursor, limit = PAGE, signal } = {}) {
  return get(ROUTE, { query: { ...forList(filter), limit, cursor }, signal });
}

export const getImage = (id, { signal } = {}) => get(`${ROUTE}/${encodeURIComponent(id)}`, { signal });
export const changeImage = (id, change) => patch(`${ROUTE}/${id}`, change);
export const trashImage = (id) => del(`${ROUTE}/${id}`);
export const purgeImage = (id) => del(`${ROUTE}/${id}`, { query: { purge: 1 } });

export const BULK = `${ROUTE}/bulk`;

// Where a preview comes from. Asked for at the image's own URL it would count as a use, and cleaning would spare what
// somebody merely looked at; here it does not, and what lies in the trash can be seen, too. The sha256 makes that a
// replaced image is shown as it is now.
export function previewUrl(image) {
  return url(`${ROUTE}/${image.id}/content`, { v: image.sha256?.slice(0, 16) });
}

export function downloadUrl(image) {
  return url(`${ROUTE}/${image.id}/content`, { download: 1 });
}

// Where everybody gets it, whole; null: it is served nowhere.
export const publicUrl = (image) => (image.url ? url(served(image)) : null);

// A name such as "javascript:x.png" is no address of its own, wherever it stands.
const served = (image) => `.${image.url}`;

// Sends another content for a live image; refused (412) when it is no longer the one that is shown.
export function replaceImage(image, file, { onProgress, signal } = {}) {
  return request("PUT", served(image), { file, onProgress, signal, headers: { "If-Match": `"${image.sha256}"`, "Content-Type": "application/octet-stream" } });
}

// All that caches hold of it is asked for anew. Beside its path it may be known by its entity.
export async function invalidateImage(image) {
  return post("/image-cache/invalidate", { path: image.original_path, collection: image.collection });
}

export function restoreImage(image) {
  return post("/image-cache/restore", { paths: [image.original_path], collection: image.collection });
}

export const collections = async ({ signal } = {}) => (await get("/image-cache/status", { signal })).collections;

// The last part of a path.
export const fileName = (path) => path.slice(path.lastIndexOf("/") + 1);

// Page after page of the list. When a page had fewer matches than it may have (the server looks at so many rows a request
// and no more) the next one is asked for without being told, until a page's worth is there, the end is reached, or somebody
// says stop.

const RETRY_MS = 2000;
const RETRY_SLOWEST_MS = 20000;

export class Loader {
  images = [];
  cursor = null;
  total = null;
  examined = 0; // rows that were looked at in vain or not, where the server tells
  ended = false;
  busy = false;
  stopped = false;
  error = null;
  #seen = new Set();
  #filter;
  #signal;
  #changed;
  #timer = 0;
  #wait = RETRY_MS;

  // `changed(added)` is called after each change, with the images that came.
  constructor(filter, { signal, changed }) {
    this.#filter = filter;
    this.#signal = signal;
    this.#changed = changed;
    signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
  }

  stop() {
    this.stopped = true;
  }

  // Goes on where another one was.
  resume({ images, cursor, total, examined, ended }) {
    Object.assign(this, { images, cursor, total, examined, ended });
    for (const { id } of images) this.#seen.add(id);
  }

  async more() {
    if (this.busy || this.ended || this.#signal.aborted) return;
    clearTimeout(this.#timer);
    Object.assign(this, { busy: true, stopped: false, error: null });
    this.#changed([]);
    const wanted = this.images.length + PAGE;
    try {
      do await this.#page(wanted - this.images.length);
      while (!this.ended && !this.stopped && this.images.length < wanted);
      this.#wait = RETRY_MS;
    } catch (error) {
      if (this.#signal.aborted) return;
      this.#failed(error);
    }
    this.busy = false;
    if (!this.#signal.aborted) this.#changed([]);
  }

  async #page(limit) {
    const page = await listImages(this.#filter, { cursor: this.cursor, limit, signal: this.#signal });
    this.cursor = page.cursor;
    this.ended = page.cursor === null;
    this.total = page.total ?? this.total;
    this.examined += page.examined ?? 0;
    // What was used meanwhile moves within the order, and may come a second time.
    const added = page.images.filter(({ id }) => !this.#seen.has(id));
    for (const { id } of added) this.#seen.add(id);
    this.images.push(...added);
    this.#changed(added);
  }

  // What passes by itself is tried again by itself.
  #failed(error) {
    this.error = error;
    if (!passes(error)) return;
    look();
    this.#timer = setTimeout(() => this.more(), Math.max(this.#wait, (error.retryAfter ?? 0) * 1000));
    this.#wait = Math.min(this.#wait * 2, RETRY_SLOWEST_MS);
  }
}

// Where the reader was in the list of images, so that the way back from one of them leads there, and on to the next one.

const SOON_MS = 1000;
const LONG_MS = 600000;
const MOST = 5000; // images that are shown again at once

let kept = null;

// key: the list's filter; address: in the hash; images, cursor and the like as a Loader has them; scroll: of the window.
export function keep(place) {
  kept = { ...place, at: Date.now(), visited: null };
}

// That place, when the reader comes back from an image, or only changed the language; else null: the list is read anew.
export function keptFor(key) {
  const age = Date.now() - (kept?.at ?? 0);
  return kept?.key === key && kept.images.length <= MOST && age < (kept.visited ? LONG_MS : SOON_MS) ? kept : null;
}

// Something has changed: the list has to be read anew.
export function forget() {
  if (kept) kept.key = "";
}

// The images before and after this one in the list that was shown last: {before, after}, null for none.
export function neighbours(id) {
  if (kept) kept.visited = id;
  const images = kept?.images ?? [];
  const at = images.findIndex((image) => image.id === id);
  return { before: (at > 0 && images[at - 1]) || null, after: (at >= 0 && images[at + 1]) || null };
}

// The address of that list.
export const listAddress = () => kept?.address ?? "#/images";
