// RankExplorer: singular values of every layer, a threshold to move, and the local rank over training.
// Nothing is computed here that a reader could quote: counts come from Python, for every place of both sliders.

/** Look-ups in what Python sent, at a place (s, e): the s-th step and the e-th threshold. */
async function readings(model) {
  const facts = model.get("facts");
  const [counts, stderrs, bands] = await Promise.all([
    unpack(model, "counts", Uint32Array),
    unpack(model, "stderrs", Uint32Array),
    unpack(model, "bands", Uint16Array),
  ]);
  const [S, L, E, R] = [facts.steps.length, facts.layers.length, facts.thresholds.length, facts.relativePlaces];
  const total = facts.widths.reduce((a, b) => a + b, 0);
  const start = facts.widths.map((_, l) => facts.widths.slice(0, l).reduce((a, b) => a + b, 0));
  const at = (relative, s, l, e) => (relative ? S * L * E + (s * L + l) * R + e : (s * L + l) * E + e);
  const hundredths = (value) => (value === 2 ** 32 - 1 ? "∞" : (value / 100).toFixed(2));
  return {
    places: (relative) => (relative ? R : E),
    mean: (relative, s, l, e) => counts[at(relative, s, l, e)] / 100,
    meanText: (relative, s, l, e) => hundredths(counts[at(relative, s, l, e)]),
    stderrText: (relative, s, l, e) => hundredths(stderrs[at(relative, s, l, e)]),
    /** log10 of the median (q = 0) or an edge of the band (1, 2) of layer l; null where it is below the axis. */
    logs: (relative, s, l, q) => {
      const from = (((relative ? S : 0) + s) * 3 + q) * total + start[l];
      const codes = bands.subarray(from, from + facts.widths[l]);
      return Array.from(codes, (code) => (code ? facts.floor + (code - 1) / facts.codesPerDecade : null));
    },
  };
}

/** Where the panels of the spectra stand in a plot so many pixels wide: up to four in a row. */
function panelPlaces(width, count) {
  const columns = Math.min(count, width < 520 ? 2 : 4);
  const [left, right, top, bottom, gap] = [36, 10, 26, 22, 14];
  const size = (width - left - right - gap * (columns - 1)) / columns;
  const height = width < 520 ? 128 : 168;
  return {
    height: Math.ceil(count / columns) * (top + height + bottom),
    panels: Array.from({ length: count }, (_, l) => {
      const [column, row] = [l % columns, Math.floor(l / columns)];
      const x = left + column * (size + gap);
      const y = row * (top + height + bottom) + top;
      const lastInRow = column === columns - 1 || l === count - 1;
      return { l, x, y, width: size, height, first: column === 0, last: lastInRow };
    }),
  };
}

/** The singular values of one layer at one step: what lies above the threshold strong, the rest faint. */
function spectrumPanel(panel, { facts, data, state, id, toY, bottom, top }) {
  const { l, x, y, width, height } = panel;
  const k = facts.widths[l];
  const toX = scale(1, k, x + 6, x + width - 4);
  const points = (q) => data.logs(state.relative, state.s, l, q).map((v, i) => [toX(i + 1), toY(v ?? facts.floor - 1)]);
  const [median, low, high] = [0, 1, 2].map(points);
  const [colour, cut] = [colourOf(facts, l), toY(Math.log10(facts.thresholds[state.e]))];
  const ink = () => [
    make("path", { d: `${path(high)}L${path(low.toReversed()).slice(1)}Z`, fill: colour, opacity: 0.25 }),
    styledLine({ ...facts, dashes: [[]] }, l, path(median)),
    ...(k <= 16 ? median.map(([cx, cy]) => make("circle", { cx, cy, r: 3, fill: colour })) : []),
  ];
  const clip = (name, from, to) =>
    make("clipPath", { id: `${id}-${name}-${l}` }, make("rect", { x: x - 4, y: from, width: width + 8, height: to - from }));
  const decades = [];
  for (let d = Math.ceil(bottom); d <= top; d += 1) decades.push(d);
  const count = data.meanText(state.relative, state.s, l, state.e);
  return make(
    "g",
    {},
    clip("above", y - 6, Math.max(y - 6, cut)),
    clip("below", Math.min(cut, y + height), y + height),
    ...decades.map((d) => make("line", { class: "lr-grid", x1: x, x2: x + width, y1: toY(d), y2: toY(d) })),
    ...(panel.first ? decades.map((d) => say(x - 6, toY(d) + 4, powerOfTen(d), { "text-anchor": "end" })) : []),
    make("line", { class: "lr-axis", x1: x, x2: x + width, y1: y + height, y2: y + height }),
    say(toX(1), y + height + 15, "1", { "text-anchor": "middle" }),
    k > 1 ? say(toX(k), y + height + 15, String(k), { "text-anchor": "middle" }) : null,
    say(x, y - 12, shortNames(facts.layers, 10)[l], { class: "lr-strong" }),
    say(x + width, y - 12, `${count} of ${k}`, { "text-anchor": "end" }),
    make("g", { "clip-path": `url(#${id}-below-${l})`, opacity: 0.5 }, ink()),
    make("g", { "clip-path": `url(#${id}-above-${l})` }, ink()),
    make("line", { class: "lr-cut", x1: x, x2: x + width, y1: cut, y2: cut }),
  );
}

/** Draw all spectra. The grips stay the same elements while one is dragged: a new one would lose the pointer. */
function drawSpectra(svg, grips, context) {
  const { facts, state, width } = context;
  const { height, panels } = panelPlaces(width, facts.layers.length);
  const bottom = facts.floor;
  const top = state.relative ? 0.15 : Math.log10(facts.thresholds.at(-1)) + 0.05;
  const yOf = (panel) => scale(bottom, top, panel.y + panel.height, panel.y);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.firstChild.replaceChildren(...panels.map((p) => spectrumPanel(p, { ...context, toY: yOf(p), bottom, top })));
  const rows = panels.filter((panel) => panel.last);
  while (grips.children.length > rows.length) grips.lastChild.remove();
  while (grips.children.length < rows.length) grips.append(context.newGrip());
  rows.forEach((panel, row) => {
    const cut = yOf(panel)(Math.log10(facts.thresholds[state.e]));
    const grip = grips.children[row];
    grip.toLog = scale(panel.y + panel.height, panel.y, bottom, top);
    const [hold, knob] = grip.children;
    const from = panels[0].x;
    Object.entries({ x: from, y: cut - 14, width: panel.x + panel.width - from + 8, height: 28 }).forEach((a) =>
      hold.setAttribute(...a),
    );
    knob.setAttribute("cx", panel.x + panel.width + 2);
    knob.setAttribute("cy", cut);
  });
}

/** Draw local rank against the step at the threshold of now, for every layer. Returns x -> place of a step. */
function drawCurves(svg, { facts, data, state, width, height }) {
  const { steps, layers } = facts;
  const names = shortNames(layers, 10);
  const labelRoom = 14 + 7 * Math.max(...names.map((name) => name.length));
  const [left, right, top, bottom] = [36, width - labelRoom, 10, height - 38];
  const { places, ticks, zero } = stepAxis(steps, left + 6, right - 6);
  const most = Math.max(...facts.widths);
  const toY = scale(0, most, bottom, top + 4);
  const means = layers.map((_, l) => steps.map((_, s) => data.mean(state.relative, s, l, state.e)));
  const ends = means.map((mean) => toY(mean.at(-1)));
  const labels = spread(ends, 14, top + 4, bottom);
  const here = places[state.s];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.replaceChildren(
    ...rankTicks(most).flatMap((rank) => [
      make("line", { class: "lr-grid", x1: left, x2: right, y1: toY(rank), y2: toY(rank) }),
      say(left - 6, toY(rank) + 4, String(rank), { "text-anchor": "end" }),
    ]),
    make("line", { class: "lr-axis", x1: left, x2: right, y1: bottom, y2: bottom }),
    ...ticks.flatMap(([x, text]) => [
      make("line", { class: "lr-axis", x1: x, x2: x, y1: bottom, y2: bottom + 4 }),
      say(x, bottom + 17, text, { "text-anchor": "middle" }),
    ]),
    ...(zero === null ? [] : [say(zero, bottom + 4, "//", { "text-anchor": "middle", class: "lr-break" })]),
    say((left + right) / 2, height - 4, "training step (log scale)", { "text-anchor": "middle" }),
    make("line", { class: "lr-cut", x1: here, x2: here, y1: top - 4, y2: bottom }),
    ...means.flatMap((mean, l) => [
      styledLine(facts, l, path(mean.map((rank, s) => [places[s], toY(rank)]))),
      make("circle", { cx: here, cy: toY(mean[state.s]), r: 4.5, fill: colourOf(facts, l), class: "lr-dot" }),
      make("line", { class: "lr-lead", x1: places.at(-1) + 4, y1: ends[l], x2: right + 6, y2: labels[l] }),
      say(right + 9, labels[l] + 4, names[l]),
    ]),
  );
  return (x) => places.reduce((best, place, s) => (Math.abs(place - x) < Math.abs(places[best] - x) ? s : best), 0);
}

/** The counts of every layer, in a table that a screen reader can walk through. */
function countTable(facts) {
  const cells = facts.layers.map((name) => ({
    mean: make("td", { "data-count": name }),
    stderr: make("td", {}),
  }));
  const condition = make("span", { class: "lr-nowrap" });
  const rows = facts.layers.map((name, l) => {
    const swatch = make("svg", { width: 26, height: 10, "aria-hidden": "true" }, styledLine(facts, l, "M0 5L26 5"));
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, swatch, name),
      cells[l].mean,
      cells[l].stderr,
      make("td", {}, `${facts.widths[l]}`),
    );
  });
  const head = ["layer", "count", "s.e.", "of"].map((text) => make("th", { scope: "col" }, text));
  const table = make("table", {}, make("caption", {}, "Singular values with ", condition), make("thead", {}, make("tr", {}, head)), make("tbody", {}, rows));
  return { table, cells, condition };
}

async function render({ model, el }) {
  const facts = model.get("facts");
  const data = await readings(model);
  const life = new AbortController(); // aborting it removes every listener made below
  const { signal } = life;
  const id = freeId(model.get("label"));
  const set = setterOf(model);
  const choose = (name, value) => set({ [name]: value });
  const stepSlider = slider({ control: "step", caption: "Training step", move: (s) => goTo(s), signal });
  const epsSlider = slider({ control: "eps", caption: "Threshold ε", move: (e) => choose("eps", facts.thresholds[e]), signal });
  const relative = make("input", { type: "checkbox", "data-control": "relative" });
  const play = make("button", { type: "button", "data-control": "play", "aria-label": "Play the training" });
  const spectra = make("svg", { "data-plot": "spectrum", role: "img" }, make("g"), make("g"));
  const curves = make("svg", { "data-plot": "curves", role: "img" });
  const { table, cells, condition } = countTable(facts);
  const output = make("p", { "data-output": true, "aria-live": "polite", class: "lr-output" });
  const root = make(
    "div",
    { class: "lr-figure", id, "data-figure": "RankExplorer", role: "group", "aria-label": model.get("title") },
    make("p", { class: "lr-title" }, model.get("title")),
    make(
      "div",
      { class: "lr-controls" },
      make("div", { class: "lr-with-button" }, play, stepSlider.node),
      epsSlider.node,
      make("label", { class: "lr-check" }, relative, make("span", {}, "relative to σ₁")),
    ),
    make("p", { class: "lr-heading" }),
    spectra,
    make("div", { class: "lr-lower" }, make("div", {}, make("p", { class: "lr-heading" }), curves), table),
    output,
  );
  const [spectraHeading, curvesHeading] = root.querySelectorAll(".lr-heading");
  keepLetters(root, signal);
  el.append(root);

  const now = () => {
    const isRelative = model.get("relative");
    const e = nearest(facts.thresholds.map(Math.log), Math.log(model.get("eps")));
    return { s: nearest(facts.steps, model.get("step")), e: Math.min(e, data.places(isRelative) - 1), relative: isRelative };
  };
  let stepAt = () => 0; // which step is drawn at x; known after the first drawing

  const draw = () => {
    const width = Math.round(spectra.getBoundingClientRect().width);
    if (!width) return; // not in the document yet: the observer calls again
    const state = now();
    const context = { facts, data, state, id, width, newGrip };
    const where = words(facts, state);
    stepSlider.show(state.s, facts.steps.length, where.step);
    epsSlider.show(state.e, data.places(state.relative), where.eps);
    relative.checked = state.relative;
    spectraHeading.replaceChildren(
      make("strong", {}, "Singular values σ", make("sub", {}, "i"), state.relative ? [" / σ", make("sub", {}, "1")] : null),
      ` against i: median over ${facts.n} probe inputs, band from 10 % to 90 % of them`,
    );
    curvesHeading.replaceChildren(make("strong", {}, "Local rank over training"), `: mean count with ${where.condition}`);
    condition.textContent = where.condition;
    drawSpectra(spectra, spectra.lastChild, context);
    const room = Math.round(curves.getBoundingClientRect().width);
    stepAt = drawCurves(curves, { ...context, width: room, height: room < 420 ? 220 : 250 });
    const counted = facts.layers.map((name, l) => {
      const mean = data.meanText(state.relative, state.s, l, state.e);
      cells[l].mean.textContent = mean;
      cells[l].stderr.textContent = `± ${data.stderrText(state.relative, state.s, l, state.e)}`;
      return `${name} ${mean} of ${facts.widths[l]}`;
    });
    output.textContent = `Step ${where.step}, ${where.condition}: ${counted.join(", ")}.`;
    spectra.setAttribute("aria-label", `Singular values of every layer at step ${where.step}, threshold ${where.eps}`);
    curves.setAttribute("aria-label", `Local rank of every layer over training with ${where.condition}`);
    root.dataset.ready = "true";
  };

  const player = playback(play, {
    advance: () => choose("step", facts.steps[(now().s + 1) % facts.steps.length]),
    atEnd: () => now().s === facts.steps.length - 1,
  });
  const goTo = (s) => {
    player.stop();
    choose("step", facts.steps[s]);
  };
  function newGrip() {
    const grip = make("g", { class: "lr-grip" }, make("rect", {}), make("circle", { r: 5 }));
    const toEps = (_, y) => {
      const e = nearest(facts.thresholds.map(Math.log10), grip.toLog(y));
      choose("eps", facts.thresholds[Math.min(e, data.places(model.get("relative")) - 1)]);
    };
    draggable(grip, spectra, toEps, signal);
    return grip;
  }
  draggable(curves, curves, (x) => goTo(stepAt(x)), signal);
  play.addEventListener("click", player.toggle, { signal });
  const switchTo = () => {
    const wanted = relative.checked; // read now: setting eps draws, and drawing sets the box
    const most = facts.thresholds[data.places(wanted) - 1];
    if (model.get("eps") > most) model.set("eps", most);
    choose("relative", wanted);
  };
  relative.addEventListener("change", switchTo, { signal });
  const stopDrawing = keepDrawn({ model, root, traits: ["step", "eps", "relative"], draw });

  return () => {
    player.stop();
    stopDrawing();
    life.abort();
    root.remove();
  };
}

/** What is chosen, as it is written everywhere in the figure. */
function words(facts, state) {
  const eps = String(facts.thresholds[state.e]);
  return { step: String(facts.steps[state.s]), eps, condition: state.relative ? `σ > ${eps} σ₁` : `σ > ${eps}` };
}

export default { render };
