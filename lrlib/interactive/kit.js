// Parts that the figures share. This text goes in front of each figure's own file, into one module, so what is
// declared here is in its scope and in nobody else's.

const SVG_TAGS = new Set(["svg", "g", "path", "line", "rect", "circle", "ellipse", "text", "tspan", "clipPath", "defs"]);

/** Make an element. Children are nodes or plain text: text never becomes markup. */
function make(tag, attributes = {}, ...children) {
  const node = SVG_TAGS.has(tag)
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null));
  return node;
}

/** Read a trait of packed numbers (lrlib.interactive.base.packed): bytes however the host hands them over. */
async function unpack(model, name, Type) {
  const value = model.get(name); // a DataView, or an ArrayBuffer, or a typed array
  const bytes = ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : value;
  const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const numbers = new Type(await new Response(inflated).arrayBuffer());
  for (let i = 1; i < numbers.length; i += 1) numbers[i] += numbers[i - 1]; // they were sent as differences
  return numbers;
}

/** What sets several traits at once, { name: value, ... }, and tells Python. */
function setterOf(model) {
  return (changes) => {
    Object.entries(changes).forEach(([name, value]) => model.set(name, value));
    model.save_changes();
  };
}

/** An id for the figure that nothing else in the document has: its label, or label-2, label-3, ... */
function freeId(label) {
  let id = label;
  for (let n = 2; document.getElementById(id); n += 1) id = `${label}-${n}`;
  return id;
}

/** Where a key moves a slider of `count` places from `index`; null if the key is not for sliders. */
function moveByKey(event, index, count) {
  const leap = Math.max(2, Math.round(count / 10));
  const stride = event.shiftKey ? leap : 1;
  const target = {
    ArrowRight: index + stride,
    ArrowUp: index + stride,
    ArrowLeft: index - stride,
    ArrowDown: index - stride,
    PageUp: index + leap,
    PageDown: index - leap,
    Home: 0,
    End: count - 1,
  }[event.key];
  if (target === undefined || event.ctrlKey || event.altKey || event.metaKey) return null;
  return Math.min(count - 1, Math.max(0, target));
}

/** Keep letters typed in the figure from JupyterLab, where "a" would add a cell and "x" cut one. */
function keepLetters(root, signal) {
  const keep = (event) => {
    if (event.key.length === 1 && !event.ctrlKey && !event.altKey && !event.metaKey) event.stopPropagation();
  };
  root.addEventListener("keydown", keep, { signal });
}

/**
 * A labelled slider over the places 0 .. count - 1. Keys are handled here, because JupyterLab cancels a
 * slider's own arrow keys. Returns { node, show(index, count, text) }; `move(index)` is called as the reader moves it.
 */
function slider({ control, caption, move, signal }) {
  const value = make("span", { class: "lr-value" });
  const input = make("input", { type: "range", min: 0, step: 1, "data-control": control });
  const node = make("label", { class: "lr-slider" }, make("span", { class: "lr-caption" }, caption, value), input);
  input.addEventListener("input", () => move(Number(input.value)), { signal });
  input.addEventListener(
    "keydown",
    (event) => {
      const target = moveByKey(event, Number(input.value), Number(input.max) + 1);
      if (target === null) return;
      event.preventDefault();
      event.stopPropagation();
      if (target !== Number(input.value)) move(target);
    },
    { signal },
  );
  const show = (index, count, text) => {
    input.max = count - 1;
    input.value = index;
    input.style.setProperty("--lr-filled", count > 1 ? index / (count - 1) : 0);
    input.setAttribute("aria-valuetext", text);
    value.textContent = text;
  };
  return { node, show };
}

/** Call `moved(x, y)`, in pixels of `target`, while a pointer that went down on `handle` is held. */
function draggable(handle, target, moved, signal) {
  const report = (event) => {
    const box = target.getBoundingClientRect();
    moved(event.clientX - box.left, event.clientY - box.top);
  };
  handle.addEventListener(
    "pointerdown",
    (event) => {
      if (event.button !== 0) return;
      event.preventDefault(); // no text is selected while dragging
      handle.setPointerCapture(event.pointerId);
      report(event);
    },
    { signal },
  );
  handle.addEventListener("pointermove", (event) => handle.hasPointerCapture(event.pointerId) && report(event), { signal });
}

/** The linear map of [from, to] onto [start, end]; a range of no length goes to the middle. */
function scale(from, to, start, end) {
  return (value) => (to === from ? (start + end) / 2 : start + ((value - from) / (to - from)) * (end - start));
}

/** SVG path through points, in the order given; tenths of a pixel are enough. */
function path(points) {
  return points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}

/** Move positions apart to at least `gap`, in their order, within [low, high]: labels that do not overlap. */
function spread(positions, gap, low, high) {
  const order = positions.map((_, i) => i).sort((a, b) => positions[a] - positions[b] || a - b);
  const placed = positions.slice();
  order.forEach((i, rank) => {
    placed[i] = Math.max(placed[i], rank ? placed[order[rank - 1]] + gap : low);
  });
  order.reverse().forEach((i, rank) => {
    placed[i] = Math.min(placed[i], rank ? placed[order[rank - 1]] - gap : high);
  });
  return placed;
}

/** 10 to the power `exponent`, as SVG text with a raised exponent. */
function powerOfTen(exponent) {
  const raised = make("tspan", { dy: "-0.45em", "font-size": "80%" }, String(exponent).replace("-", "\u2212"));
  return ["10", raised];
}

/** SVG text at a point. */
function say(x, y, text, attributes = {}) {
  return make("text", { x: x.toFixed(1), y: y.toFixed(1), ...attributes }, text);
}

/** The width in pixels of the widest of these texts in a picture: every reader has another font. */
function widestOf(svg, texts, attributes = {}) {
  const probes = texts.map((text) => say(0, 0, text, attributes));
  svg.append(...probes);
  const width = Math.max(...probes.map((probe) => probe.getComputedTextLength()));
  probes.forEach((probe) => probe.remove());
  return width;
}

/** The first of these texts that has room between `low` and `high`, or the last: its middle is at x, or near it. */
function sayWithin(svg, x, y, texts, [low, high]) {
  const text = texts.find((words) => widestOf(svg, [words]) <= high - low) ?? texts.at(-1);
  const half = widestOf(svg, [text]) / 2;
  return say(Math.max(low + half, Math.min(high - half, x)), y, text, { "text-anchor": "middle" });
}

/** The colour of the i-th of the things that a figure compares: layers, modes, groups of curves. */
function colourOf(facts, i) {
  return facts.colours[i % facts.colours.length];
}

/** A line in the style of the i-th of them; `facts.dashes` are in widths of a line of 2 pixels. */
function styledLine(facts, i, d, extra = {}) {
  const dashes = facts.dashes[i % facts.dashes.length].map((length) => 2 * length).join(" ");
  return make("path", { d, class: "lr-line", stroke: colourOf(facts, i), "stroke-dasharray": dashes || null, ...extra });
}

/** Places of the steps on a logarithmic axis; a step 0 has one of its own at the left, behind a break. */
function stepAxis(steps, from, to) {
  const positive = steps.filter((step) => step > 0);
  if (!positive.length) return { places: steps.map(() => (from + to) / 2), ticks: [[(from + to) / 2, "0"]], zero: null };
  const hasZero = positive.length < steps.length;
  const start = hasZero ? from + Math.min(44, (to - from) / 6) : from;
  const toX = scale(Math.log10(positive[0]), Math.log10(positive.at(-1)), start, to);
  const ticks = hasZero ? [[from, "0"]] : [];
  for (let d = Math.ceil(Math.log10(positive[0])); 10 ** d <= positive.at(-1); d += 1) {
    ticks.push([toX(d), d < 5 ? String(10 ** d) : powerOfTen(d)]);
  }
  if (ticks.length === (hasZero ? 1 : 0)) ticks.push([toX(Math.log10(positive[0])), String(positive[0])]);
  return {
    places: steps.map((step) => (step > 0 ? toX(Math.log10(step)) : from)),
    ticks,
    zero: hasZero ? (from + start) / 2 : null,
  };
}

/** Round numbers from 0 to `most`, about five of them. */
function rankTicks(most) {
  const stride = [1, 2, 4, 5, 8, 10, 16, 20, 32, 40, 50, 64, 100, 128, 200, 250, 256, 500].find((n) => most / n <= 5);
  const ticks = [];
  for (let rank = 0; rank <= most; rank += stride ?? Math.ceil(most / 5)) ticks.push(rank);
  return ticks;
}

/** Names in at most `room` letters; numbers (#1, #2, ...) where names cut that short would be the same. */
function shortNames(names, room) {
  const cut = names.map((name) => (name.length > room ? `${name.slice(0, room - 1)}…` : name));
  return new Set(cut).size === names.length ? cut : names.map((_, i) => `#${i + 1}`);
}

/** The place of the value nearest to this one. */
function nearest(values, value) {
  return values.reduce((best, v, i) => (Math.abs(v - value) < Math.abs(values[best] - value) ? i : best), 0);
}

/** A button that plays what `name` says, a step every `pause` ms. Not offered to those who asked for less motion. */
function playback(button, { advance, atEnd, pause = 220, name = "Play the training" }) {
  let timer = null;
  const output = () => button.closest(".lr-figure")?.querySelector("[data-output]");
  const label = () => {
    button.textContent = timer === null ? "▶" : "❚❚";
    button.setAttribute("aria-label", timer === null ? name : "Pause");
    output()?.setAttribute("aria-live", timer === null ? "polite" : "off"); // or it would be read at every step
  };
  const stop = () => {
    if (timer === null) return;
    clearInterval(timer);
    timer = null;
    label();
    const said = output();
    if (said) said.textContent = `${said.textContent}`; // so that where it stopped is read, once
  };
  const tick = () => {
    advance();
    if (atEnd()) stop();
  };
  const toggle = () => {
    if (timer !== null) return stop();
    timer = setInterval(tick, pause);
    label();
    return tick();
  };
  button.hidden = matchMedia("(prefers-reduced-motion: reduce)").matches;
  label();
  return { stop, toggle };
}

/** A whole number as small digits below the line, for names such as σ₁. */
const subscript = (n) => String(n).replace(/\d/g, (digit) => "₀₁₂₃₄₅₆₇₈₉"[digit]);

/** Names in a row, as in a sentence. */
function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** Draw now, and whenever one of these traits or the width of `root` changes. Returns what stops that. */
function keepDrawn({ model, root, traits, draw }) {
  const changes = traits.map((name) => `change:${name}`);
  changes.forEach((name) => model.on(name, draw));
  const observer = new ResizeObserver(draw);
  observer.observe(root);
  draw();
  return () => {
    observer.disconnect();
    changes.forEach((name) => model.off(name, draw));
  };
}
