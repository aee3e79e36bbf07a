// Which images are chosen: some of those shown, or all that the filter matches.

export class Selection extends EventTarget {
  #chosen = new Map();
  #anchor = null;
  all = false;

  get size() {
    return this.#chosen.size;
  }

  get images() {
    return [...this.#chosen.values()];
  }

  has(id) {
    return this.all || this.#chosen.has(id);
  }

  #told() {
    this.dispatchEvent(new Event("change"));
  }

  // One image, or with `range` all of `shown` from the one chosen before up to it.
  set(image, on, { range = false, shown = [] } = {}) {
    const from = range ? shown.findIndex(({ id }) => id === this.#anchor) : -1;
    const to = shown.findIndex(({ id }) => id === image.id);
    const some = from < 0 || to < 0 ? [image] : shown.slice(Math.min(from, to), Math.max(from, to) + 1);
    if (this.all) {
      // One is taken out of all: what is shown stays chosen.
      this.all = false;
      for (const other of shown) this.#chosen.set(other.id, other);
    }
    for (const one of some) {
      if (on) this.#chosen.set(one.id, one);
      else this.#chosen.delete(one.id);
    }
    this.#anchor = image.id;
    this.#told();
  }

  setShown(images, on) {
    this.all = false;
    this.#chosen.clear();
    if (on) for (const image of images) this.#chosen.set(image.id, image);
    this.#told();
  }

  setAll() {
    this.all = true;
    this.#chosen.clear();
    this.#told();
  }

  clear() {
    this.setShown([], false);
  }
}
