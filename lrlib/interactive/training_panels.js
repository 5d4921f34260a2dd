// The panels of TrainingExplorer at one step, one for each layer: singular values, and the input-space picture.

const PICTURE_SIZE = 112; // of an image's longer side, or a bar chart's height, in pixels
const HEAD = 22; // room above a panel for the layer's name

/** Where panels this high, with room below them, stand in a plot so many pixels wide: up to four in a row. */
function panelGrid(width, count, { left, height, below }) {
  const columns = Math.min(count, width < 520 ? 2 : 4);
  const gap = 14;
  const size = (width - left - 10 - gap * (columns - 1)) / columns;
  const panels = Array.from({ length: count }, (_, i) => {
    const [column, row] = [i % columns, Math.floor(i / columns)];
    return { x: left + column * (size + gap), y: row * (HEAD + height + below) + HEAD, width: size, height, first: column === 0 };
  });
  return { height: Math.ceil(count / columns) * (HEAD + height + below), panels };
}

function fitPlot(svg, width, height, children) {
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.replaceChildren(...children);
}

/** Where log10 of the threshold is drawn among the singular values of J_l, whose largest is given; or null. */
function cutAt(state, logOfLargest) {
  if (state.weights || !["absolute", "relative"].includes(state.reading)) return null;
  const log = Math.log10(state.thresholds[state.e]);
  if (state.reading === "absolute") return log;
  return logOfLargest === null ? null : log + logOfLargest;
}

/** What the threshold's line in the spectra is; or why there is none. */
function cutWords(state, eps) {
  if (state.weights) return "no threshold is drawn: local rank counts singular values of J, not of W";
  if (state.reading === "absolute") return `line: the threshold ${eps}`;
  if (state.reading === "relative") return `line: the threshold ${eps} σ₁`;
  if (state.reading === "data-scaled") return "no threshold is drawn: the data-scaled reading counts singular values of J Σₓ^½, which are not these";
  return "this reading has no threshold";
}

/** The singular values of one layer, both axes logarithmic, as far as they lie above the axis' floor. */
function spectrumPanel(panel, { facts, kind, state, step, id }, i) {
  const { x, y, width, height, first } = panel;
  const [l, places] = [kind.layers[i], kind.places[i]];
  const logs = kind.logs(state.v, state.c, step, i);
  const [floor, top] = [kind.floors[state.v][i], kind.top];
  const toY = scale(floor, top, y + height, y);
  const along = scale(0, Math.log10(places.at(-1)), x + 6, x + width - 6);
  const toX = (place) => along(Math.log10(place));
  const points = logs.map((log, k) => [toX(places[k]), toY(log ?? floor - 1)]);
  const cut = cutAt(state, logs[0]);
  const decades = [];
  for (let d = Math.ceil(floor); d <= top; d += 1) decades.push(d);
  const stride = Math.ceil(decades.length / 5);
  const ticks = [1, 10, 100, 1000].filter((place) => place < places.at(-1) / 2);
  return [
    make("clipPath", { id: `${id}-spectrum-${i}` }, make("rect", { x, y: y - 4, width: width + 4, height: height + 4 })),
    ...decades.map((d) => make("line", { class: "lr-grid", x1: x, x2: x + width, y1: toY(d), y2: toY(d) })),
    ...(first ? decades.filter((d) => d % stride === 0).map((d) => say(x - 6, toY(d) + 4, decadeText(d), { "text-anchor": "end" })) : []),
    make("line", { class: "lr-axis", x1: x, x2: x + width, y1: y + height, y2: y + height }),
    ...[...ticks, places.at(-1)].map((place) => say(toX(place), y + height + 15, String(place), { "text-anchor": "middle" })),
    say(x, y - 8, shortNames(facts.layers, 10)[l], { class: "lr-strong" }),
    make(
      "g",
      { "clip-path": `url(#${id}-spectrum-${i})` },
      styledLine({ ...facts, dashes: [[]] }, l, path(points)),
      ...points.map(([cx, cy]) => make("circle", { cx: cx.toFixed(1), cy: cy.toFixed(1), r: 2, fill: colourOf(facts, l) })),
    ),
    cut !== null && cut >= floor && cut <= top ? make("line", { class: "lr-cut", x1: x, x2: x + width, y1: toY(cut), y2: toY(cut) }) : null,
  ];
}

function drawSpectra(svg, context) {
  const { kind, width } = context;
  const { height, panels } = panelGrid(width, kind.layers.length, { left: LEFT, height: width < 520 ? 120 : 150, below: 24 });
  fitPlot(svg, width, height, panels.map((panel, i) => make("g", {}, spectrumPanel(panel, context, i))));
}

/** An image of squares, the more opaque the larger: the square root of the share of the largest. */
function imagePanel({ x, y, width }, { facts }, shares, most) {
  const [rows, columns] = facts.inputShape;
  const cell = Math.max(1, Math.floor(Math.min(width, PICTURE_SIZE) / Math.max(rows, columns)));
  const [wide, high] = [cell * columns, cell * rows];
  const [left, top] = [Math.round(x), Math.round(y)];
  const square = (share, k) => {
    const at = { x: left + (k % columns) * cell, y: top + Math.floor(k / columns) * cell };
    return make("rect", { ...at, width: cell, height: cell, "fill-opacity": Math.sqrt(share).toFixed(2) });
  };
  const legend = Array.from({ length: 16 }, (_, k) => {
    const from = left + Math.round((k / 16) * wide);
    const to = left + Math.round(((k + 1) / 16) * wide);
    return make("rect", { x: from, y: top + PICTURE_SIZE + 8, width: to - from, height: 8, "fill-opacity": (k / 15).toFixed(2) });
  });
  return [
    make("g", { class: "lr-cells" }, shares.map(square), legend),
    make("rect", { class: "lr-frame", x: left - 0.5, y: top - 0.5, width: wide + 1, height: high + 1 }),
    make("rect", { class: "lr-frame", x: left - 0.5, y: top + PICTURE_SIZE + 7.5, width: wide + 1, height: 9 }),
    say(left, top + PICTURE_SIZE + 30, "0"),
    say(left + wide, top + PICTURE_SIZE + 30, most, { "text-anchor": "end" }),
  ];
}

/** A bar for each coordinate of the input, from 0 to the largest. */
function barPanel({ x, y, width }, { facts }, shares, most, l) {
  const bottom = y + PICTURE_SIZE;
  const stride = (width - 4) / shares.length;
  const bar = (share, k) => {
    const height = share * (PICTURE_SIZE - 4);
    const thick = Math.max(0.5, stride * 0.8);
    return make("rect", { x: (x + 2 + (k + 0.1) * stride).toFixed(2), y: (bottom - height).toFixed(1), width: thick.toFixed(2), height: height.toFixed(1), fill: colourOf(facts, l) });
  };
  return [
    make("line", { class: "lr-grid", x1: x, x2: x + width, y1: y + 4, y2: y + 4 }),
    say(x + width, y - 8, `to ${most}`, { "text-anchor": "end" }),
    ...shares.map(bar),
    make("line", { class: "lr-axis", x1: x, x2: x + width, y1: bottom, y2: bottom }),
    say(x + 2 + stride / 2, bottom + 15, "1", { "text-anchor": "middle" }),
    shares.length > 1 ? say(x + width - 2 - stride / 2, bottom + 15, String(shares.length), { "text-anchor": "middle" }) : null,
  ];
}

/** How strongly each layer reacts to each coordinate of the input, on a scale that all steps of the layer share. */
function drawPictures(svg, context) {
  const { facts, kind, state, step, width } = context;
  const below = facts.inputShape ? 40 : 24;
  const { height, panels } = panelGrid(width, kind.layers.length, { left: LEFT, height: PICTURE_SIZE, below });
  const names = shortNames(facts.layers, 10);
  const drawn = panels.map((panel, i) => {
    const largest = kind.largest[state.v][i];
    const largestText = String(Number(largest.toPrecision(3)));
    const shares = kind.logs(state.v, state.c, step, i).map((log) => (log === null || largest === 0 ? 0 : Math.min(1, 10 ** log / largest)));
    const show = facts.inputShape ? imagePanel : barPanel;
    const name = say(panel.x, panel.y - 8, names[kind.layers[i]], { class: "lr-strong" });
    return make("g", { "data-layer": facts.layers[kind.layers[i]] }, name, show(panel, context, shares, largestText, kind.layers[i]));
  });
  fitPlot(svg, width, height, drawn);
}
