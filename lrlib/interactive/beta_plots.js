// The plots of BetaDial over costs, indices and β. Each draws everything anew: there are few lines.

const BENDS = { rate: 0.3, distortion: 0.1, test_error: 0.02, rank: 2 }; // linear below, logarithmic above: beta_still.py
const TICKS = {
  rate: [0, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000],
  distortion: [0, 0.1, 0.2, 0.5, 1, 2, 5],
  test_error: [0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9],
  rank: [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
};
const QUANTITIES = { distortion: "distortion D, nats", test_error: "test error" };

function sized(svg, width, height) {
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
}

/** The map of [0, most] onto [start, end] that is linear near 0 and logarithmic above. */
function bentScale(name, most, start, end) {
  const bent = (value) => Math.asinh(value / BENDS[name]);
  const map = scale(0, bent(most), start, end);
  return (value) => map(bent(value));
}

/** A number in three digits; a percentage in so many decimals. */
function threeDigits(value) {
  if (Math.abs(value) >= 1e6) return value.toExponential(2);
  if (Math.abs(value) >= 100) return String(Math.round(value));
  return value === 0 ? "0" : value.toPrecision(3).replace("-", "\u2212"); // a minus can only be the exponent's
}

function percent(value, decimals = 2) {
  const number = 100 * value;
  return `${Math.abs(number) >= 1e6 ? number.toExponential(2) : number.toFixed(decimals)}\u00a0%`;
}

/** A rank: two decimals below 10, fewer above. */
function rankText(value) {
  const decimals = [2, 1].find((n) => Number(value.toFixed(n)) < 10 ** (3 - n));
  return decimals ? value.toFixed(decimals) : threeDigits(value);
}

/** What a reading is called, with its threshold. */
function readingName({ reading, eps }) {
  return eps === null ? reading : `${reading}, ε ${eps}`;
}

function swatchOf(facts, q) {
  return make("svg", { width: 26, height: 10, "aria-hidden": "true" }, styledLine(facts, q, "M0 5L26 5"));
}

/** Lines across a plot at values of y, each with its number. */
function levels(ticks, toY, { left, right }, text = String) {
  return ticks.flatMap((value) => [
    make("line", { class: "lr-grid", x1: left, x2: right, y1: toY(value), y2: toY(value) }),
    say(left - 6, toY(value) + 4, text(value), { "text-anchor": "end", "data-y-tick": value }),
  ]);
}

/** Ticks below a plot; those whose numbers would touch the one before have none. */
function below(ticks, toX, bottom, text = String, gap = 8) {
  let last = -Infinity;
  return ticks.flatMap((value) => {
    const [x, written] = [toX(value), text(value)];
    const mark = make("line", { class: "lr-axis", x1: x, x2: x, y1: bottom, y2: bottom + 4 });
    const half = 3.6 * String(written).length;
    if (x - half < last + gap) return [mark];
    last = x + half;
    return [mark, say(x, bottom + 17, written, { "text-anchor": "middle", "data-x-tick": value })];
  });
}

/** A band between the lowest and the highest, a part for each run of neighbours that have both. */
function bands(points, colour) {
  const runs = [[]];
  points.forEach((point) => (point ? runs.at(-1).push(point) : runs.push([])));
  return runs.filter((run) => run.length).map((run) => {
    const edge = [...run.map(({ x, low }) => [x, low]), ...run.map(({ x, high }) => [x, high]).reverse()];
    return make("path", { class: "lr-band", d: `${path(edge)}Z`, fill: colour });
  });
}

/** Rate against distortion or test error for all β. Returns (x, y) -> the place of the nearest β, or null. */
function drawCosts(svg, { models: { facts, network }, state: { b, seeds, against }, width, height }) {
  const found = facts.betas.map((_, i) => ({ i, rate: network(i, "rate", seeds), cost: network(i, against, seeds) })).filter(({ rate, cost }) => rate && cost);
  sized(svg, width, height);
  if (!found.length) {
    svg.replaceChildren(say(width / 2, height / 2, `rate or ${against.replace("_", " ")} is not stored`, { "text-anchor": "middle" }));
    return () => null;
  }
  const box = { left: 44, right: width - 12, top: 12, bottom: height - 38 };
  // the axes are those of all seeds, so that a choice of seed moves nothing but the points
  const all = facts.seeds.map((_, s) => s);
  const largest = (name) => Math.max(...facts.betas.map((_, i) => network(i, name, all)?.high ?? 0)) || 1;
  const tops = { rate: 1.1 * largest("rate"), cost: 1.12 * largest(against) };
  const toX = bentScale("rate", tops.rate, box.left, box.right);
  const toY = bentScale(against, tops.cost, box.bottom, box.top);
  const points = found.map(({ i, rate, cost }) => ({ i, x: toX(rate.mean), y: toY(cost.mean) }));
  const dots = facts.betas.flatMap((_, i) => seeds.map((s) => [network(i, "rate", [s]), network(i, against, [s])])).filter(([rate, cost]) => rate && cost);
  const here = points.find(({ i }) => i === b);
  const most = facts.classes && against === "distortion" ? Math.log(facts.classes) : null;
  const limit = Array.from({ length: 81 }, (_, j) => [(j / 80) ** 2 * most, most - (j / 80) ** 2 * most]).filter(([rate, cost]) => rate <= tops.rate && cost <= tops.cost);
  const written = (value) => (against === "test_error" ? `${Math.round(100 * value)}\u00a0%` : String(value));
  svg.replaceChildren(...[
    ...levels(TICKS[against].filter((value) => value <= tops.cost), toY, box, written),
    ...below(TICKS.rate.filter((value) => value <= tops.rate), toX, box.bottom),
    make("line", { class: "lr-axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }),
    say((box.left + box.right) / 2, height - 4, "rate R, nats", { "text-anchor": "middle" }),
    most && make("path", { class: "lr-limit", d: path(limit.map(([rate, cost]) => [toX(rate), toY(cost)])) }),
    make("path", { class: "lr-line lr-cost", d: path(points.map(({ x, y }) => [x, y])) }),
    ...dots.map(([rate, cost]) => make("circle", { class: "lr-seed", cx: toX(rate.mean).toFixed(2), cy: toY(cost.mean).toFixed(2), r: 2.5 })),
    here && make("circle", { class: "lr-dot lr-here", cx: here.x.toFixed(2), cy: here.y.toFixed(2), r: 6 }),
    say(box.right, box.top + 10, QUANTITIES[against], { "text-anchor": "end", class: "lr-clear" }),
  ].filter(Boolean));
  return (x, y) => points.reduce((best, point) => (Math.hypot(point.x - x, point.y - y) < Math.hypot(best.x - x, best.y - y) ? point : best)).i;
}

/** Thresholds of the readings of a spectrum: a line each, strong and named if the reading is drawn against β. */
function cutLines(facts, { name }, { on, largest, toLog, toY, box, floor, top }) {
  const own = facts.columns.map((column, q) => ({ ...column, q })).filter(({ of, eps }) => of === name && eps !== null);
  const lines = own.map(({ reading, eps, q }) => {
    const isRelative = reading.includes("relative");
    return { q, isOn: on.includes(q), at: toLog(eps * (isRelative ? largest : 1)), text: isRelative ? `${eps} × largest` : `ε = ${eps}` };
  }).filter(({ at }) => at >= floor && at <= top);
  const drawn = lines.filter(({ isOn }) => isOn);
  const heights = spread(drawn.map(({ at }) => toY(at) - 5), 14, box.top + 8, box.bottom - 4);
  return [
    ...lines.map(({ q, isOn, at }) => {
      const ends = { x1: box.left, x2: box.right, y1: toY(at).toFixed(2), y2: toY(at).toFixed(2), "data-cut": q };
      return make("line", isOn ? { class: "lr-threshold", stroke: colourOf(facts, q), ...ends } : { class: "lr-idle", ...ends });
    }),
    ...drawn.map(({ text }, i) => say(box.right - 4, heights[i], text, { "text-anchor": "end", class: "lr-clear" })),
  ];
}

/** A spectrum of the code against the index: mean over seeds, and their band. */
function drawSpectrum(svg, { models, state: { b, seeds, k, on }, width, height }) {
  const { facts } = models;
  const kind = facts.spectra[k];
  sized(svg, width, height);
  const found = kind ? models.spectrum(k, b, seeds) : [];
  if (!found.some(Boolean)) {
    svg.replaceChildren(say(width / 2, height / 2, "no spectrum is stored at this β", { "text-anchor": "middle" }));
    return;
  }
  const box = { left: 44, right: width - 12, top: 12, bottom: height - 38 };
  const [floor, top] = kind.ends;
  const toLog = (value) => (value > 0 ? Math.log10(value) : -Infinity);
  const toY = scale(floor, top, box.bottom, box.top);
  const onPlot = (value) => toY(Math.max(floor, Math.min(top, toLog(value)))); // what is smaller lies on the lower edge
  const toX = (place) => scale(0, Math.log2(Math.max(2, kind.places.at(-1))), box.left + 8, box.right - 8)(Math.log2(place));
  const points = found.map((value, p) => value && { x: toX(kind.places[p]), y: onPlot(value.mean), low: onPlot(value.low), high: onPlot(value.high), gone: toLog(value.mean) < floor });
  const decades = Array.from({ length: top - floor + 1 }, (_, i) => floor + i);
  const indices = Array.from({ length: Math.floor(Math.log2(kind.places.at(-1))) + 1 }, (_, i) => 2 ** i);
  const edge = facts.classes > 2 && facts.classes - 1 <= kind.places.at(-1) ? facts.classes - 1 : null;
  const line = points.filter(Boolean).map(({ x, y }) => [x, y]);
  svg.replaceChildren(...[
    ...decades.flatMap((d) => [
      make("line", { class: "lr-grid", x1: box.left, x2: box.right, y1: toY(d), y2: toY(d) }),
      make("text", { x: box.left - 6, y: toY(d) + 4, "text-anchor": "end", "data-y-tick": d }, ...(d >= -2 && d <= 2 ? [String(Number((10 ** d).toPrecision(1)))] : powerOfTen(d))),
    ]),
    edge && make("line", { class: "lr-edge-line", x1: toX(edge), x2: toX(edge), y1: box.top, y2: box.bottom }),
    edge && say(toX(edge) + 4, box.bottom - 6, `C − 1 = ${edge}`, { class: "lr-clear" }),
    ...below(indices, toX, box.bottom),
    make("line", { class: "lr-axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }),
    say((box.left + box.right) / 2, height - 4, "index i (log scale)", { "text-anchor": "middle" }),
    ...bands(points, "var(--lr-ink)"),
    make("path", { class: "lr-line lr-cost", d: path(line) }),
    ...points.map((point, p) => point && make("circle", { class: point.gone ? "lr-gone" : "lr-value-dot", "data-place": kind.places[p], cx: point.x.toFixed(2), cy: point.y.toFixed(2), r: 3 })),
    ...cutLines(facts, kind, { on, largest: found[0]?.mean ?? 0, toLog, toY, box, floor, top }),
  ].filter(Boolean));
}

/** The logarithmic axis of β; from the knee on, where many β lie, it has half of the width. */
function betaScale({ betas, knee }, left, right) {
  const log = (beta) => Math.log10(beta);
  const middle = (left + right) / 2;
  const [first, last] = [betas[0], betas.at(-1)];
  if (knee === null) return (beta) => scale(log(first), log(last), left, right)(log(beta));
  const [slow, fast] = [scale(log(first), log(knee), left, middle), scale(log(knee), log(last), middle, right)];
  return (beta) => (beta < knee ? slow : fast)(log(beta));
}

function betaText(beta) {
  return beta >= 1e-3 ? String(beta) : powerOfTen(Math.round(Math.log10(beta)));
}

/** Readings of rank against β. Returns the places of all β across the plot. */
function drawReadings(svg, { models: { facts, summary }, state: { b, seeds, on }, width, height }) {
  const box = { left: 48, right: width - 14, top: 12, bottom: height - 38 };
  const toX = betaScale(facts, box.left + 18, box.right);
  const toY = bentScale("rank", 1.08 * facts.mostRank, box.bottom, box.top);
  const places = facts.betas.map(toX);
  const [first, last] = [facts.betas[0], facts.betas.at(-1)];
  const decades = Array.from({ length: 40 }, (_, i) => 10 ** (i - 20)).map((value) => Number(value.toPrecision(1))).filter((value) => value >= first * 0.999 && value <= last * 1.001);
  const within = facts.knee === null ? [] : [2, 3, 5, 7].map((n) => Number((n * facts.knee).toPrecision(1))).filter((value) => value > facts.knee && value < last);
  const ticks = (decades.length + within.length ? [...decades, ...within] : [first]).sort((a, c) => a - c);
  const curves = on.map((q) => facts.betas.map((_, i) => {
    const found = summary(i, q, seeds);
    return found && { i, x: places[i], y: toY(found.mean), low: toY(found.low), high: toY(found.high) };
  }));
  const starts = curves.map((points) => points.find(Boolean) ?? { x: box.left, y: box.bottom });
  const tags = spread(starts.map(({ y }) => y), 13, box.top, box.bottom);
  sized(svg, width, height);
  svg.replaceChildren(...[
    ...levels(TICKS.rank.filter((value) => value <= 1.08 * facts.mostRank), toY, box),
    facts.knee !== null && make("line", { class: "lr-edge-line", x1: toX(facts.knee), x2: toX(facts.knee), y1: box.top, y2: box.bottom }),
    ...betaTicks(ticks, toX, box.bottom),
    make("line", { class: "lr-axis", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }),
    say((box.left + box.right) / 2, height - 4, facts.knee === null ? "β (log scale)" : `β (log scale, stretched from ${facts.knee} on)`, { "text-anchor": "middle" }),
    make("line", { class: "lr-cut", "data-cursor": true, x1: places[b].toFixed(2), x2: places[b].toFixed(2), y1: box.top - 4, y2: box.bottom }),
    ...on.map((q, n) => {
      const drawn = curves[n].filter(Boolean);
      const marks = drawn.map(({ i, x, y }) => make("circle", { fill: colourOf(facts, q), class: i === b ? "lr-dot" : null, cx: x.toFixed(2), cy: y.toFixed(2), r: i === b ? 5 : 2, "data-beta": facts.betas[i] }));
      const tag = say(starts[n].x - 8, tags[n] + 4, String(n + 1), { "text-anchor": "end", class: "lr-clear lr-strong" });
      return make("g", { "data-curve": q }, ...bands(curves[n], colourOf(facts, q)), styledLine(facts, q, path(drawn.map(({ x, y }) => [x, y]))), ...marks, drawn.length ? tag : null);
    }),
    !on.length && say(width / 2, height / 2, "no reading is switched on", { "text-anchor": "middle" }),
  ].filter(Boolean));
  return places;
}

/** Ticks of β; powers of ten have a raised exponent, and those that would touch have no number. */
function betaTicks(values, toX, bottom) {
  let last = -Infinity;
  return values.flatMap((value) => {
    const x = toX(value);
    const mark = make("line", { class: "lr-axis", x1: x, x2: x, y1: bottom, y2: bottom + 4 });
    if (x - 13 < last) return [mark];
    last = x + 15;
    return [mark, make("text", { x: x.toFixed(2), y: bottom + 17, "text-anchor": "middle", "data-x-tick": value }, ...[betaText(value)].flat())];
  });
}
