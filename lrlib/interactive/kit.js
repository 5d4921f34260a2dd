// Parts that the figures share. This text goes in front of each figure's own file, into one module, so what is
// declared here is in its scope and in nobody else's.

const SVG_TAGS = new Set(["svg", "g", "path", "line", "rect", "circle", "text", "tspan", "clipPath", "defs"]);

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
  return new Type(await new Response(inflated).arrayBuffer());
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
