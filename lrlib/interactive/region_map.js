// RegionMap: a ReLU network's linear regions on the plane, coloured by the rank of one layer's Jacobian. The reader
// changes the weights, so everything is computed here, by regions.js; tests hold it to lrlib's counts.

const TABLE_ROWS = 6; // a Jacobian of more rows shows its first five, and says how many more there are
const QUIET = 300; // milliseconds without a change before the output is read aloud
const ROUNDING = 1e-14; // singular values below this share of the largest are written as 0

/**
 * The directions of the half-axes of the image of a unit circle. Two outputs are drawn as they are; more, or one, in
 * coordinates along the left singular vectors.
 */
function axisDirections(rows, { sigma, angle }) {
  const image = rows.map(([a, b]) => (a * Math.cos(angle) + b * Math.sin(angle)) / sigma[0]);
  const [x, y] = rows.length === 2 && sigma[0] > 0 ? image : [1, 0];
  return [[x, y], [-y, x]]; // the second from the first: where sigma_2 is rounding, so is its own image
}

/** A bar of a round length in the lower left corner: 1, 2 or 5 times a power of ten, at most half the picture. */
function scaleBar(size, frame, reach) {
  const power = 10 ** Math.floor(Math.log10(reach));
  const length = ([5, 2, 1].find((n) => n * power <= reach) ?? 1) * power;
  const [from, to, y] = [5, 5 + (length / reach) * frame, size - 6];
  const bar = make("path", { class: "lr-scale", d: path([[from, y - 6], [from, y], [to, y], [to, y - 6]]) });
  return [bar, say(to + 5, y + 1, String(Number(length.toPrecision(1))))];
}

/** The ellipse onto which the Jacobian maps a unit circle. Returns whether the circle of radius `cut` fits in. */
function drawEllipse(svg, { rows, found, cut, top, colour }) {
  const size = Math.min(260, Math.max(60, Math.round(svg.parentNode.getBoundingClientRect().width)));
  const [middle, frame] = [size / 2, size / 2 - 16];
  const reach = 1.1 * (Math.max(top, Math.min(cut, 2 * top)) || cut || 1); // where every unit is dead, top is 0
  const toPixel = ([x, y]) => [middle + (x / reach) * frame, middle - (y / reach) * frame];
  const directions = axisDirections(rows, found);
  const axes = directions.map((direction, i) => direction.map((entry) => entry * (found.sigma[i] ?? 0)));
  const outline = Array.from({ length: 73 }, (_, i) => {
    const [c, s] = [Math.cos((i / 72) * TURN), Math.sin((i / 72) * TURN)];
    return toPixel([0, 1].map((k) => c * axes[0][k] + s * axes[1][k]));
  });
  const half = (sigma, i) =>
    make("path", { class: "lr-half-axis", d: path([[0, 0], axes[i]].map(toPixel)), "stroke-dasharray": sigma > cut ? null : "2 3" });
  const label = (sigma, i) => {
    const far = Math.max((sigma / reach) * frame, 12) + 13; // from the middle, in pixels
    const [x, y] = [middle + directions[i][0] * far, middle - directions[i][1] * far + 4];
    return say(x, y, `σ${"₁₂"[i]}`, { class: "lr-strong", "text-anchor": "middle" });
  };
  svg.setAttribute("viewBox", `0 0 ${size} ${size}`);
  Object.assign(svg.style, { width: `${size}px`, height: `${size}px` });
  svg.replaceChildren(
    make("line", { class: "lr-grid", x1: 4, x2: size - 4, y1: middle, y2: middle }),
    make("line", { class: "lr-grid", x1: middle, x2: middle, y1: 4, y2: size - 4 }),
    ...scaleBar(size, frame, reach),
    make("path", { d: `${path(outline)}Z`, class: "lr-image", fill: colour }),
    ...found.sigma.map(half),
    ...(cut <= reach ? [make("circle", { class: "lr-eps", cx: middle, cy: middle, r: ((cut / reach) * frame).toFixed(1) })] : []),
    ...found.sigma.map(label),
  );
  return cut <= reach;
}

/** The Jacobian's rows, the first of them where they are many. */
function jacobianRows(rows) {
  const shown = rows.length > TABLE_ROWS ? rows.slice(0, TABLE_ROWS - 1) : rows;
  const cells = shown.map(([a, b], i) =>
    make("tr", {}, make("th", { scope: "row" }, `unit ${i + 1}`), ...[a, b].map((entry) => make("td", {}, written(entry)))),
  );
  const more = rows.length - shown.length;
  return more ? [...cells, make("tr", {}, make("th", { scope: "row", colspan: 3 }, `and ${more} more`))] : cells;
}

/** How many regions have each rank, and the mean of it over the square. */
function legendItems(facts, regions, most) {
  const total = regions.reduce((sum, region) => sum + region.area, 0);
  const mean = regions.reduce((sum, region) => sum + region.rank * region.area, 0) / total;
  const items = Array.from({ length: most + 1 }, (_, rank) => {
    const count = regions.filter((region) => region.rank === rank).length;
    const style = `background: ${facts.colours[rank]}; color: ${rank === 2 ? "#fff" : "#1b1b1b"}`;
    return make("li", {}, make("span", { class: "lr-swatch", style }, String(rank)), `${count} region${count === 1 ? "" : "s"}`);
  });
  return [...items, make("li", { "data-local-rank": mean }, `local rank over this square: ${mean.toFixed(2)}`)];
}

/** Where an arrow key moves the point: a sixtieth of half the square, ten of them with Shift. */
function pointByKey(event, point, extent) {
  const direction = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (!direction || event.ctrlKey || event.altKey || event.metaKey) return null;
  const stride = (extent / 60) * (event.shiftKey ? 10 : 1);
  const moved = point.map((value, k) => Number((value + direction[k] * stride).toFixed(6)));
  return moved.map((value) => Math.min(extent, Math.max(-extent, value)));
}

async function render({ model, el }) {
  const facts = model.get("facts");
  const life = new AbortController(); // aborting it removes every listener made below
  const { signal } = life;
  const set = setterOf(model);
  const choose = (name, value) => set({ [name]: value });
  const places = (isRelative) => (isRelative ? facts.relativePlaces : facts.thresholds.length);
  let hovered = null; // the point under the pointer: shown instead of the pinned one, and Python is not told
  let timer = null;

  const now = () => {
    const [weights, isRelative, [name, unit]] = [model.get("weights"), model.get("relative"), model.get("neuron")];
    const l = facts.layers.indexOf(model.get("layer"));
    const e = Math.min(places(isRelative) - 1, nearest(facts.thresholds.map(Math.log), Math.log(model.get("eps"))));
    const neuron = { l: facts.layers.indexOf(name), u: unit - 1 };
    return { l, e, eps: facts.thresholds[e], relative: isRelative, weights, below: weights.slice(0, l + 1), neuron };
  };
  const setRow = ({ l, u }, row) =>
    choose("weights", model.get("weights").map((rows, i) => (i === l ? rows.map((old, j) => (j === u ? row : old)) : rows)));
  const chooseNeuron = ({ l, u }) => choose("neuron", [facts.layers[l], u + 1]);
  const reader = {
    hover: (point) => {
      if (point === null && hovered === null) return;
      hovered = point;
      probe();
    },
    pin: (point) => choose("point", point),
    chooseUnit: (u) => chooseNeuron({ l: 0, u }),
    setRow: (u, row) => setRow({ l: 0, u }, row),
  };

  const layer = picker({ control: "layer", caption: "Layer", move: (l) => choose("layer", facts.layers[l]), signal });
  const eps = slider({ control: "eps", caption: "Threshold ε", move: (e) => choose("eps", facts.thresholds[e]), signal });
  const relative = make("input", { type: "checkbox", "data-control": "relative" });
  const plane = planePlot(facts, reader, signal);
  const reset = () => choose("weights", facts.first);
  const neuron = neuronControls({ facts, chooseNeuron, setRow, reset, signal });
  const ellipse = make("svg", { "data-plot": "ellipse", role: "img" });
  const [planeHeading, pointHeading] = [0, 1].map(() => make("p", { class: "lr-heading" }));
  const legend = make("ul", { class: "lr-legend" });
  const readout = make("p", { class: "lr-readout", "data-readout": true });
  const note = make("p", { class: "lr-hint" });
  const [tableName, tableBody] = [make("caption"), make("tbody")];
  const columns = ["", "∂/∂x₁", "∂/∂x₂"].map((text) => make("th", { scope: "col" }, text));
  const table = make("table", {}, tableName, make("thead", {}, make("tr", {}, columns)), tableBody);
  const output = make("p", { "data-output": true, "aria-live": "polite", class: "lr-output" });
  const root = make(
    "div",
    { class: "lr-figure", id: freeId(model.get("label")), "data-figure": "RegionMap", role: "group", "aria-label": model.get("title") },
    make("p", { class: "lr-title" }, model.get("title")),
    make("div", { class: "lr-controls lr-readings" }, layer.node, eps.node, make("label", { class: "lr-check" }, relative, make("span", {}, "relative to σ₁"))),
    make(
      "div",
      { class: "lr-map" },
      make("div", { class: "lr-map-plane" }, planeHeading, plane.svg, legend),
      make("div", { class: "lr-map-point" }, pointHeading, make("div", {}, ellipse), make("div", {}, readout, table), note),
      neuron.node,
    ),
    output,
  );
  keepLetters(root, signal);
  el.append(root);

  let top = 0; // the largest singular value in view: the ellipse's scale, the same at every point

  const draw = () => {
    if (!root.getBoundingClientRect().width) return; // not in the document yet: the observer calls again
    const state = now();
    const regions = linearRegions(state.below, facts.extent).map(({ polygon, p }) => {
      const { sigma } = singularOf(p);
      return { polygon, ...massOf(polygon), sigma, rank: rankAbove(sigma, state.eps, state.relative) };
    });
    top = Math.max(...regions.map((region) => region.sigma[0]));
    layer.show(state.l, facts.layers);
    eps.show(state.e, places(state.relative), String(state.eps));
    relative.checked = state.relative;
    neuron.show(state);
    plane.draw(state, regions);
    root.dataset.regions = regions.length;
    const counted = `${regions.length} linear region${regions.length === 1 ? "" : "s"}`;
    const threshold = make("span", { class: "lr-nowrap" }, condition(state));
    planeHeading.replaceChildren(make("strong", {}, counted), ` of ${facts.layers[state.l]} in view; colour: number of `, threshold);
    plane.svg.setAttribute("aria-label", `The plane with ${counted} of ${facts.layers[state.l]}. Arrow keys move the point.`);
    legend.replaceChildren(...legendItems(facts, regions, Math.min(2, facts.widths[state.l + 1])));
    probe();
    root.dataset.ready = "true";
  };

  /** What depends on the point alone. */
  function probe() {
    if (!root.getBoundingClientRect().width) return;
    const state = now();
    const [point, name] = [hovered ?? model.get("point"), facts.layers[state.l]];
    const rows = affineAt(state.below, point);
    const found = singularOf(rows);
    const rank = rankAbove(found.sigma, state.eps, state.relative);
    const cut = state.relative ? state.eps * found.sigma[0] : state.eps;
    const sizes = found.sigma.map((sigma) => written(sigma < ROUNDING * found.sigma[0] ? 0 : sigma));
    plane.mark(model.get("point"), hovered);
    pointHeading.replaceChildren(make("strong", {}, `At ${place(point)}: rank ${rank}`));
    readout.textContent = `${sizes.map((text, i) => `σ${"₁₂"[i]} = ${text}`).join(", ")}`;
    Object.assign(readout.dataset, { sigma: JSON.stringify(found.sigma), rank, point: JSON.stringify(point) });
    tableName.replaceChildren("Jacobian of ", make("span", {}, name));
    tableBody.replaceChildren(...jacobianRows(rows));
    // after the table, which on a phone leaves to the ellipse what it does not need
    const circleShown = drawEllipse(ellipse, { rows, found, cut, top, colour: facts.colours[rank] });
    ellipse.setAttribute("aria-label", `Image of a unit circle under the Jacobian: half-axes ${sizes.join(" and ")}`);
    note.textContent = noteFor(name, rows.length, state, circleShown);
    const all = `${root.dataset.regions} region${root.dataset.regions === "1" ? "" : "s"} in view`;
    announce(`Layer ${name}, ${condition(state)}: ${all}; at ${place(point)} rank ${rank}, σ = ${sizes.join(", ")}.`);
  }

  /** Have it read aloud once nothing has changed for a moment. */
  function announce(text) {
    clearTimeout(timer);
    timer = setTimeout(() => (output.textContent = text), QUIET);
  }

  const switchTo = () => {
    const wanted = relative.checked; // read now: setting eps draws, and drawing sets the box
    const most = facts.thresholds[places(wanted) - 1];
    if (model.get("eps") > most) model.set("eps", most);
    choose("relative", wanted);
  };
  relative.addEventListener("change", switchTo, { signal });
  const byKey = (event) => {
    const moved = pointByKey(event, model.get("point"), facts.extent);
    if (!moved) return;
    event.preventDefault();
    event.stopPropagation();
    choose("point", moved);
  };
  plane.svg.addEventListener("keydown", byKey, { signal });
  const showPinned = () => {
    hovered = null; // what was chosen last is shown, until the pointer moves again
    probe();
  };
  model.on("change:point", showPinned);
  const stopDrawing = keepDrawn({ model, root, traits: ["weights", "layer", "eps", "relative", "neuron"], draw });

  return () => {
    clearTimeout(timer);
    stopDrawing();
    model.off("change:point", showPinned);
    life.abort();
    root.remove();
  };
}

/** Which singular values count. */
function condition({ eps, relative }) {
  return relative ? `σ > ${eps} σ₁` : `σ > ${eps}`;
}

/** What the ellipse's plane is, and what the dashed circle. */
function noteFor(name, units, { eps, relative }, circleShown) {
  const plane = {
    1: `The image of a unit circle; ${name} has one unit, so it is a segment.`,
    2: `The image of a unit circle, in the plane of ${name}'s two units.`,
  }[units];
  const circle = `circle of radius ε${relative ? " σ₁" : ""} = ${eps}${relative ? " σ₁" : ""}`;
  const dashed = circleShown ? `Dashed: the ${circle}.` : `The ${circle} is larger than the frame.`;
  return `${plane ?? `The image of a unit circle, in the plane of the two left singular vectors (${name} has ${units} units).`} ${dashed}`;
}

export default { render };
