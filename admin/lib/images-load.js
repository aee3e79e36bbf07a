// Page after page of the list. When a page had fewer matches than it may have (the server looks at so many rows a request
// and no more) the next one is asked for without being told, until a page's worth is there, the end is reached, or somebody
// says stop.

import { PAGE, listImages } from "./images-api.js";
import { look, passes } from "./state.js";

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
