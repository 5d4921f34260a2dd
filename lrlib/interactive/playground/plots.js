// The playground's curves and singular values, as SVG. Each function draws one plot anew; they are called at most once
// a frame, with what is to be seen and the width that there is.

const SIDE = { left: 38, right: 30, top: 16, bottom: 34 }; // margins of a plot, in pixels
const SHOWN_DECADES = [-4, 2]; // of singular values

/** The steps' axis: 0 at the left, behind a break, and 1 to `last` on a log scale. */
function runAxis(last, from, to) {
  const start = from + Math.min(28, (to - from) / 8);
  const toX = scale(0, Math.log10(last), start, to);
  const every = (to - start) / Math.log10(last) < 34 ? 2 : 1;
  const ticks = [[from, "0"]];
  for (let d = 0; d <= Math.log10(last) + 1e-9; d += every) ticks.push([toX(d), d < 5 ? String(10 ** d) : powerOfTen(d)]);
  return { at: (step) => (step > 0 ? toX(Math.log10(step)) : from), ticks, break: (from + start) / 2 };
}

/** Frame, ticks and the step axis of a plot; returns its nodes and its scales. */
function plotGround(svg, { width, height, last, toValue, yTicks, right = SIDE.right }) {
  const [left, end, top, bottom] = [SIDE.left, width - right, SIDE.top, height - SIDE.bottom];
  const x = runAxis(last, left, end);
  const y = (value) => toValue(value, bottom, top);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  const nodes = [
    ...yTicks.flatMap(([value, text]) => [
      make("line", { class: "lr-grid", x1: left, x2: end, y1: y(value), y2: y(value) }),
      say(left - 6, y(value) + 4, text, { "text-anchor": "end" }),
    ]),
    make("line", { class: "lr-axis", x1: left, x2: end, y1: bottom, y2: bottom }),
    make("path", { class: "lr-axis", fill: "none", d: `M${x.break - 3} ${bottom + 4}l4 -8m2 8l4 -8` }),
    ...x.ticks.map(([place, text]) => say(place, bottom + 15, text, { "text-anchor": "middle" })),
    say((left + end) / 2, bottom + 30, "step", { "text-anchor": "middle" }),
  ];
  return { nodes, x, y, end, top, bottom };
}

/** Where the clock ηλt reads 1, if it does so before the end. */
function clockMark({ clockStep, last }, { x, top, bottom }) {
  if (!(clockStep >= 1 && clockStep < last)) return [];
  const place = x.at(clockStep);
  return [
    make("line", { class: "lr-goal", "stroke-dasharray": "2 3", x1: place, x2: place, y1: top, y2: bottom }),
    say(place - 5, bottom - 6, "ηλt = 1", { "text-anchor": "end" }),
  ];
}

/** Local rank of every layer over the steps: `curves[l]` are [step, rank], up to now. */
function drawRanks(svg, { facts, width, height, last, clockStep, names, curves, most }) {
  const toValue = (value, bottom, top) => scale(0, Math.max(1, most), bottom, top)(value);
  const ground = plotGround(svg, { width, height, last, toValue, yTicks: rankTicks(most).map((rank) => [rank, String(rank)]) });
  const ends = curves.map((points) => (points.length ? ground.y(points.at(-1)[1]) : ground.bottom));
  const labels = spread(ends, 14, ground.top, ground.bottom);
  const lines = curves.flatMap((points, l) => {
    if (!points.length) return [];
    const places = points.map(([step, rank]) => [ground.x.at(step), ground.y(rank)]);
    const [cx, cy] = places.at(-1);
    const name = say(ground.end + 8, labels[l] + 4, names[l], { class: "lr-strong" });
    return [
      styledLine(facts, l, path(places), { "data-layer": names[l] }),
      make("circle", { cx: cx.toFixed(1), cy: cy.toFixed(1), r: 4, class: "lr-dot", fill: colourOf(facts, l) }),
      Math.abs(labels[l] - cy) > 3 || ground.end - cx > 20
        ? make("path", { class: "lr-lead", fill: "none", d: path([[cx + 4, cy], [ground.end + 6, labels[l]]]), opacity: 0.5 })
        : null,
      name,
    ];
  });
  svg.replaceChildren(...ground.nodes, ...clockMark({ clockStep, last }, ground), ...lines.filter(Boolean));
}

/** Two curves, of training and of test, on a log scale (`decades`) or on one from 0 to 1. */
function drawPair(svg, { facts, width, height, last, pair, decades }) {
  const ticks = decades
    ? Array.from({ length: decades[1] - decades[0] + 1 }, (_, i) => decades[0] + i).filter((d) => decades[1] - decades[0] < 5 || d % 2 === 0)
    : [0, 0.5, 1];
  const toValue = decades
    ? (value, bottom, top) => scale(...decades, bottom, top)(value)
    : (value, bottom, top) => scale(0, 1, bottom, top)(value);
  const yTicks = ticks.map((d) => [d, decades ? powerOfTen(d) : String(d)]);
  const ground = plotGround(svg, { width, height, last, toValue, yTicks, right: 44 });
  const place = (value) => ground.y(decades ? Math.log10(Math.max(value, 10 ** decades[0])) : Math.min(1, Math.max(0, value)));
  const drawn = pair.map(({ points }) => points.map(([step, value]) => [ground.x.at(step), place(value)]));
  const labels = spread(drawn.map((points) => points.at(-1)?.[1] ?? ground.bottom), 14, ground.top, ground.bottom);
  const lines = pair.flatMap(({ name }, i) => [
    styledLine(facts, i, path(drawn[i]), { "data-set": name }),
    ...drawn[i].slice(-1).map(([cx, cy]) => make("circle", { cx: cx.toFixed(1), cy: cy.toFixed(1), r: 3, fill: colourOf(facts, i) })),
    say(ground.end + 6, labels[i] + 4, name, { fill: null }),
  ]);
  svg.replaceChildren(...ground.nodes, ...lines);
}

/** For each of the k singular values: lowest, tenth, median, ninetieth percentile and highest over n inputs. */
function quantilesOf(values, n) {
  const k = values.length / n;
  return Array.from({ length: k }, (_, i) => {
    const column = Float64Array.from({ length: n }, (_, row) => values[row * k + i]).sort();
    return [0, 0.1, 0.5, 0.9, 1].map((share) => column[Math.round(share * (n - 1))]);
  });
}

/** A layer's singular values over the inputs, in a panel: whiskers, the middle 80 %, and medians. */
function valuesPanel({ x, y, width, height }, { facts, name, l, quantiles, cut, axis }) {
  const toY = (value) => scale(...SHOWN_DECADES, y + height, y)(Math.min(SHOWN_DECADES[1], Math.max(SHOWN_DECADES[0], Math.log10(value))));
  const stride = (width - 6) / quantiles.length;
  const place = (i) => x + 3 + (i + 0.5) * stride;
  const bars = (low, high) => quantiles.map((q, i) => path([[place(i), toY(q[low])], [place(i), toY(q[high])]])).join("");
  const half = Math.max(1.5, stride * 0.36);
  const medians = quantiles.map((q, i) => path([[place(i) - half, toY(q[2])], [place(i) + half, toY(q[2])]])).join("");
  const colour = colourOf(facts, l);
  const decades = [-4, -2, 0, 2];
  return [
    ...decades.map((d) => make("line", { class: "lr-grid", x1: x, x2: x + width, y1: toY(10 ** d), y2: toY(10 ** d) })),
    ...(axis ? decades.map((d) => make("text", { x: x - 5, y: toY(10 ** d) + 4, "text-anchor": "end" }, powerOfTen(d))) : []),
    make("line", { class: "lr-axis", x1: x, x2: x + width, y1: y + height, y2: y + height }),
    make("path", { d: bars(0, 4), stroke: colour, "stroke-width": 1, fill: "none", opacity: 0.55 }),
    make("path", { d: bars(1, 3), stroke: colour, "stroke-width": Math.max(2, stride * 0.5).toFixed(1), fill: "none", opacity: 0.55 }),
    make("path", { d: medians, stroke: colour, "stroke-width": 2, fill: "none" }),
    cut === null ? null : make("line", { class: "lr-cut", x1: x, x2: x + width, y1: toY(cut), y2: toY(cut) }),
    say(x + 2, y - 6, name, { class: "lr-strong" }),
    say(place(0), y + height + 15, "1", { "text-anchor": "middle" }),
    quantiles.length > 1 ? say(place(quantiles.length - 1), y + height + 15, String(quantiles.length), { "text-anchor": "middle" }) : null,
  ];
}

/** Singular values of every layer; `cut(top)` is the threshold where the largest value is `top`, or null. */
function drawValues(svg, { facts, width, names, spectra, probe, cut }) {
  const perRow = width < 420 && names.length > 3 ? Math.ceil(names.length / 2) : names.length;
  const [gap, high, below] = [10, 118, 46];
  const wide = (width - SIDE.left - gap * (perRow - 1) - 2) / perRow;
  const rows = Math.ceil(names.length / perRow);
  const height = rows * (high + below) + 4;
  const panels = names.map((name, l) => {
    const [column, row] = [l % perRow, Math.floor(l / perRow)];
    const place = { x: SIDE.left + column * (wide + gap), y: 18 + row * (high + below), width: wide, height: high };
    const quantiles = quantilesOf(spectra[l], probe);
    return make("g", { "data-layer": name }, valuesPanel(place, { facts, name, l, quantiles, cut: cut(quantiles[0][2]), axis: column === 0 }));
  });
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.replaceChildren(...panels);
}
