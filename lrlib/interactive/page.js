// A built page has no kernel: this small stand-in is the `model` that a figure's render() is handed there.

/** The part of the anywidget model that figures use, over plain values. */
class PageModel {
  constructor({ values, arrays }) {
    this.values = new Map(Object.entries(values));
    this.listeners = new Map();
    for (const [name, text] of Object.entries(arrays)) {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      this.values.set(name, new DataView(bytes.buffer)); // what a live widget hands over too
    }
  }

  get(name) {
    return this.values.get(name);
  }

  /** Set a value; those who listen to `change:name` and `change` hear of it if it is a new one. */
  set(name, value) {
    if (Object.is(this.values.get(name), value)) return;
    this.values.set(name, value);
    for (const event of [`change:${name}`, "change"]) {
      for (const callback of [...(this.listeners.get(event) ?? [])]) callback(this, value);
    }
  }

  on(event, callback) {
    if (!this.listeners.has(event)) this.listeners.set(event, new Set());
    this.listeners.get(event).add(callback);
  }

  /** Remove a listener, or all of an event, or all. */
  off(event, callback) {
    if (event === undefined || event === null) this.listeners.clear();
    else if (callback === undefined || callback === null) this.listeners.delete(event);
    else this.listeners.get(event)?.delete(callback);
  }

  /** Live, this tells Python. A page has none. */
  save_changes() {}
}

/** Draw into the first place with this label that no other script has taken. If that fails, show the still. */
async function start(label, render) {
  const mount = document.querySelector(`[data-lr-mount="${label}"]:not([data-started])`);
  mount.dataset.started = "true";
  const lazy = "lrLazy" in mount.dataset;
  const drawn = new AbortController();
  if (lazy) await near(mount, drawn.signal); // lazy.js, which comes with lazy figures only
  const el = document.createElement("div");
  mount.append(el);
  try {
    const model = new PageModel(JSON.parse(mount.querySelector('script[type="application/json"]').textContent));
    mount.lrModel = model;
    mount.lrCleanup = await render({ model, el });
    if (lazy) arrive(mount);
  } catch (error) {
    el.remove();
    mount.querySelector(".lr-waiting")?.remove();
    mount.querySelector(".lr-still").hidden = false;
    console.error(error);
  }
  drawn.abort();
}
