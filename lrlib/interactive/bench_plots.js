// What EstimatorBench knows, and its plots: estimates against N, single seeds at one N, and a case's points. Means and
// spreads come from Python; single estimates come in steps that are too small to be seen.

// A mark for each estimator, by [corners, turn, length of every second corner, size]: known without its colour
const MARKS = [[24, 0, 1, 1], [4, 1 / 8, 1, 1.2], [3, 0, 1, 1.3], [4, 0, 1, 1.25], [3, 1 / 2, 1, 1.3], [5, 0, 1, 1.2], [10, 0, 0.42, 1.6], [3, 3 / 4, 1, 1.3], [3, 1 / 4, 1, 1.3], [6, 0, 1, 1.15]];
const SIDESTEP = 3.2; // pixels between neighbouring estimators at one N
const GOLDEN = 0.618; // steps of this share, modulo 1, spread any number of seeds evenly

/** The estimates that Python sent; `cell` is what there is of a case, an estimator and a size, or null. */
async function readBench(model) {
  const facts = model.get("facts");
  const [codes, bits, scatter] = await Promise.all([unpack(model, "points", Uint32Array), unpack(model, "summary", Uint32Array), unpack(model, "scatter", Uint16Array)]);
  const numbers = new Float32Array(bits.buffer);
  const count = numbers.length / 4;
  const number = (q, at) => (Number.isNaN(numbers[q * count + at]) ? null : numbers[q * count + at]);
  const cell = (c, e, k) => {
    const at = (c * facts.estimators.length + e) * facts.sizes.length + k;
    const own = Array.from(codes.subarray(at * facts.seeds, (at + 1) * facts.seeds));
    const { truth } = facts.cases[c];
    const value = (code) => truth + (Math.floor(code / 2) - 1) * facts.unit - facts.farthest;
    const seeds = own.flatMap((code, s) => (code ? [{ s, value: value(code), saturated: code % 2 === 1 }] : []));
    if (!seeds.length) return null;
    const [mean, spread, stderr, cap] = [0, 1, 2, 3].map((q) => number(q, at));
    return { seeds, mean, bias: mean - truth, spread, stderr, cap, saturated: seeds.filter((seed) => seed.saturated).length };
  };
  let from = 0;
  const points = facts.cases.map(({ scatter: frame }) => {
    const m = frame?.points ?? 0;
    const own = Array.from({ length: m }, (_, i) => [scatter[from + i] / facts.frame, scatter[from + m + i] / facts.frame]);
    from += 2 * m;
    return own;
  });
  return { facts, cell, points };
}

/** What is chosen now, as places in what Python sent; `shown` are estimators that are on and apply to the case. */
function benchState({ facts }, model) {
  const wanted = new Set(model.get("estimators"));
  const c = Math.max(0, facts.cases.findIndex(({ name }) => name === model.get("case")));
  const k = Math.max(0, facts.sizes.indexOf(model.get("n")));
  const chosen = facts.estimators.flatMap((name, e) => (wanted.has(name) ? [e] : []));
  return { c, k, chosen, shown: chosen.filter((e) => facts.cases[c].kinds[e] !== null) };
}

/** The ends of the value axis: the truth and what the estimators reach to, with a margin, as in the still. */
function valueRange(facts, { c, shown }) {
  const { truth, reach } = facts.cases[c];
  const ends = [truth, ...shown.flatMap((e) => reach[e])];
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const margin = Math.max(facts.margin * (high - low), (facts.leastSpan - (high - low)) / 2);
  return [low - margin, high + margin];
}

/** What has been written of a size, with the sign of the value: nothing that was rounded to zero has one. */
function withSign(value, written, plus = "") {
  return Number(written) === 0 ? written : `${value < 0 ? "\u2212" : plus}${written}`;
}

/** A number of nats in `digits` decimals, fewer from 10 on; with a plus if `signed`. */
function natsText(value, { digits = 3, signed = false } = {}) {
  if (value === null) return "–";
  const size = Math.abs(value);
  const fewer = size < 10 ? 0 : Math.floor(Math.log10(size));
  const written = size < 1e5 ? size.toFixed(Math.max(0, digits - fewer)) : size.toExponential(1).replace("+", "");
  return withSign(value, written, signed ? "+" : "");
}

/** A number of samples. */
function sizeText(n) {
  return n.toLocaleString("en-US");
}

/** A map to pixels that stays near the plot: SVG cannot place what lies 10^300 nats away. */
function bounded(map) {
  return (value) => Math.min(1e4, Math.max(-1e4, map(value)));
}

/** About five round numbers within a range. */
function valueTicks(low, high, most = 6) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((n) => n * power >= rough);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  const values = Array.from({ length: count }, (_, i) => (first + i) * step);
  return values.map((value) => [value, withSign(value, Math.abs(value).toFixed(digits))]);
}

/** The mark of estimator e around a point; open if what it stands for is saturated. */
function mark(facts, e, [x, y], { r = 4.2, open = false, ...extra } = {}) {
  const [corners, turn, inner, size] = MARKS[e % MARKS.length];
  const corner = (k) => {
    const [angle, radius] = [2 * Math.PI * (turn + k / corners), r * size * (k % 2 ? inner : 1)];
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  };
  const d = `${path(Array.from({ length: corners }, (_, k) => corner(k)))}Z`;
  const look = { class: open ? "lr-mark lr-open" : "lr-mark", fill: colourOf(facts, e), stroke: colourOf(facts, e) };
  return make("path", { d, transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, ...look, ...extra });
}

function benchSwatch(facts, e) {
  const line = styledLine(facts, e, "M0 8L34 8", { "stroke-width": 1.5 });
  return make("svg", { width: 34, height: 16, "aria-hidden": "true" }, line, mark(facts, e, [17, 8]));
}

/** An arrow at the edge of a plot, for what estimator e says beyond it; turned by quarters from pointing up. */
function edgeArrow(facts, e, [x, y], quarters) {
  const turned = `translate(${x.toFixed(1)} ${y.toFixed(1)}) rotate(${90 * quarters})`;
  return make("path", { d: "M0 -6L5 4L0 1L-5 4Z", transform: turned, class: "lr-edge", fill: colourOf(facts, e), "data-outside": facts.estimators[e] });
}

/** Caps are one line where they differ by less than this share: those of two ways to bin, say. */
const SAME_CAP = 0.005;

/** What a line of caps is called: by N, or by the estimators, or by the word with which several of them begin. */
function capText(facts, caps, names) {
  const isLog = caps.every((cap, k) => cap === null || Math.abs(cap - Math.log(facts.sizes[k])) <= SAME_CAP * cap);
  if (isLog) return "cap ln N";
  const words = names.length > 1 ? [...new Set(names.map((name) => name.split(" ")[0]))] : names;
  return `cap of ${words.join(", ")}`;
}

/** Lines of the most that estimators can say, one for those that have the same. */
function capLines({ facts, cell }, { c, shown }) {
  const lines = [];
  for (const e of shown) {
    const caps = facts.sizes.map((_, k) => cell(c, e, k)?.cap ?? null);
    if (caps.every((cap) => cap === null)) continue;
    const agrees = (cap, k) => (cap === null) === (caps[k] === null) && Math.abs(cap - caps[k]) <= SAME_CAP * Math.abs(cap);
    const same = lines.find((line) => line.caps.every(agrees));
    if (same) same.names.push(facts.estimators[e]);
    else lines.push({ caps, names: [facts.estimators[e]] });
  }
  return lines.map(({ caps, names }) => ({ caps, text: capText(facts, caps, names) }));
}

/** Axes of the plot against N: grid, ticks, the truth, and where N is now. */
function drawBenchGround(svg, { facts, state, box, toX, toY, range, places }) {
  const { left, right, top, bottom } = box;
  const now = places[state.k];
  const every = Math.ceil(46 / ((right - left) / places.length)); // ticks with letters must not touch
  const truth = toY(facts.cases[state.c].truth);
  svg.append(
    ...valueTicks(...range).flatMap(([value, text]) => [
      make("line", { class: "lr-grid", x1: left, x2: right, y1: toY(value), y2: toY(value) }),
      say(left - 6, toY(value) + 4, text, { "text-anchor": "end", "data-value-tick": value }),
    ]),
    make("line", { class: "lr-axis", x1: left, x2: right, y1: bottom, y2: bottom }),
    ...facts.sizes.flatMap((n, k) => [
      make("line", { class: "lr-axis", x1: toX(n), x2: toX(n), y1: bottom, y2: bottom + 4 }),
      ...(k % every ? [] : [say(toX(n), bottom + 18, sizeText(n), { "text-anchor": "middle", "data-size-tick": n })]),
    ]),
    say((left + right) / 2, bottom + 34, "number of samples N", { "text-anchor": "middle" }),
    make("line", { class: "lr-cut lr-now", x1: now, x2: now, y1: top, y2: bottom }),
    make("line", { class: "lr-truth", x1: left, x2: right, y1: truth, y2: truth }),
  );
}

/** A dashed line of caps. Returns where its name goes. */
function drawCap(inside, { caps, name, text, box, places, toY }) {
  const line = caps.flatMap((cap, k) => (cap === null ? [] : [[places[k], toY(cap)]]));
  const whole = line.length > 1 ? line : [[box.left, line[0][1]], [box.right, line[0][1]]];
  inside.append(make("path", { d: path(whole), class: "lr-cap", "data-cap": text }));
  const [x, y] = whole.at(-1);
  const sign = ([cx, cy]) => make("path", { class: "lr-cap", d: path([[cx - 7, cy], [cx + 5, cy]]) });
  return { x: y > box.top && y < box.bottom ? x : null, y, name, sign, look: { "data-name": text } };
}

/** The curve of estimator e, the i-th that is shown. Returns where its name goes, and what lies outside the axis. */
function drawCurve(inside, { bench: { facts, cell }, state, e, i, name, box, places, toY, range }) {
  const aside = SIDESTEP * (i - (state.shown.length - 1) / 2);
  const found = facts.sizes.flatMap((n, k) => {
    const own = cell(state.c, e, k);
    return own ? [{ n, x: places[k] + aside, y: toY(own.mean), ...own }] : [];
  });
  const bars = found.map(({ x, seeds }) => {
    const ends = seeds.map(({ value }) => toY(value));
    return make("line", { class: "lr-seed-bar", stroke: colourOf(facts, e), x1: x, x2: x, y1: Math.min(...ends), y2: Math.max(...ends) });
  });
  const line = styledLine(facts, e, path(found.map(({ x, y }) => [x, y])), { class: "lr-line lr-thin" });
  const marks = found.map(({ x, y, n, saturated }) => mark(facts, e, [x, y], { open: saturated > 0, "data-size": n }));
  inside.append(make("g", { "data-curve": facts.estimators[e] }, ...bars, line, ...marks));
  const last = found.at(-1);
  const sign = (at) => mark(facts, e, at, { r: 3.4 });
  const end = { x: last.n === facts.sizes.at(-1) ? last.x + 7 : null, y: last.y, name, sign, look: { "data-name": facts.estimators[e] } };
  return { end, beyond: found.filter(({ mean }) => mean < range[0] || mean > range[1]) };
}

/** Names beside what they name, from { x, y, name, sign, look }: lines lead to those whose x is not null. */
function nameEnds(svg, box, ends) {
  const inside = ends.map(({ y }) => Math.min(box.bottom, Math.max(box.top, y)));
  const heights = spread(inside, 14, box.top, box.bottom);
  ends.forEach(({ x, name, sign = null, look }, i) => {
    if (x !== null) svg.append(make("path", { class: "lr-lead", d: path([[x, inside[i]], [box.right + 2, heights[i]]]), fill: "none" }));
    if (sign) svg.append(sign([box.right + 8, heights[i]]));
    svg.append(say(box.right + (sign ? 16 : 6), heights[i] + 4, name, look));
  });
}

/** Estimates against N. Returns the places of the sizes, and in words what lies outside the axis. */
function drawCurves(svg, { bench, state, width, id }) {
  const { facts } = bench;
  const range = valueRange(facts, state);
  const onAxis = (cap) => cap !== null && cap > range[0] && cap < range[1];
  const lines = capLines(bench, state).filter(({ caps }) => caps.some(onAxis));
  const most = width < 520 ? 15 : 20; // letters
  const names = shortNames(state.shown.map((e) => facts.estimators[e]), most);
  const capNames = shortNames(lines.map(({ text }) => text), most);
  const letters = Math.max(5, ...[...names, ...capNames].map(({ length }) => length));
  const height = Math.max(width < 520 ? 290 : 340, 66 + 14 * (names.length + capNames.length));
  const box = { left: 44, right: width - 20 - 6.6 * letters, top: 12, bottom: height - 40 };
  const toY = bounded(scale(...range, box.bottom, box.top));
  const edge = 6 + 0.5 * SIDESTEP * Math.max(0, names.length - 1);
  const along = scale(Math.log10(facts.sizes[0]), Math.log10(facts.sizes.at(-1)), box.left + edge, box.right - edge);
  const toX = (n) => along(Math.log10(n));
  const places = facts.sizes.map(toX);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  const frame = make("rect", { x: box.left, y: box.top - 4, width: box.right - box.left, height: box.bottom - box.top + 8 });
  svg.replaceChildren(make("clipPath", { id: `${id}-curves` }, frame));
  drawBenchGround(svg, { facts, state, box, toX, toY, range, places });
  const inside = make("g", { "clip-path": `url(#${id}-curves)` });
  svg.append(inside);
  const ends = lines.map((line, i) => drawCap(inside, { ...line, name: capNames[i], box, places, toY }));
  const outside = [];
  state.shown.forEach((e, i) => {
    const { end, beyond } = drawCurve(inside, { bench, state, e, i, name: names[i], box, places, toY, range });
    ends.push(end);
    if (!beyond.length) return;
    svg.append(...beyond.map(({ x, mean }) => edgeArrow(facts, e, mean > range[1] ? [x, box.top] : [x, box.bottom - 2], mean > range[1] ? 0 : 2)));
    const list = (text) => beyond.map(text).join("; ");
    outside.push(`${facts.estimators[e]} (${list(({ mean }) => natsText(mean))} at N = ${list(({ n }) => sizeText(n))})`);
  });
  ends.push({ x: null, y: toY(facts.cases[state.c].truth), name: "truth", look: { class: "lr-strong" } });
  nameEnds(svg, box, ends);
  return { places, outside };
}

/** The seeds of estimator e in their row: a mark each, mean and standard deviation behind them, arrows for those outside. */
function dotRow(facts, { e, name, found, y, box, toX, range, wide, id, width }) {
  const row = make("g", { "data-dots": facts.estimators[e] }, mark(facts, e, [6, y]), say(16, y + 4, name));
  if (!found) {
    row.append(say(box.left + 6, y + 4, "not run at this N", { class: "lr-haloed" }));
    return row;
  }
  const { seeds, mean, bias, spread: deviation } = found;
  const clipped = make("g", { "clip-path": `url(#${id}-dots)` });
  if (deviation !== null) clipped.append(make("line", { class: "lr-deviation", x1: toX(mean - deviation), x2: toX(mean + deviation), y1: y, y2: y }));
  clipped.append(make("line", { class: "lr-mean", x1: toX(mean), x2: toX(mean), y1: y - 10, y2: y + 10 }));
  const place = ({ s, value }) => [toX(value), y + 14 * (((s + 1) * GOLDEN) % 1) - 7];
  const inside = seeds.filter(({ value }) => value >= range[0] && value <= range[1]);
  row.append(clipped, ...inside.map((seed) => mark(facts, e, place(seed), { r: 2.8, open: seed.saturated, "data-seed": seed.s })));
  const count = (outside, x, quarters, anchor, step) => {
    const text = `${outside} of ${seeds.length}`;
    if (outside) row.append(edgeArrow(facts, e, [x, y], quarters), say(x + step, y + 4, text, { "text-anchor": anchor, class: "lr-haloed", "data-beyond": outside }));
  };
  count(seeds.filter(({ value }) => value < range[0]).length, box.left + 5, 3, "start", 9);
  count(seeds.filter(({ value }) => value > range[1]).length, box.right - 5, 1, "end", -9);
  const told = natsText(bias, { signed: true });
  row.append(say(width, y + 4, wide && deviation !== null ? `${told} ± ${natsText(deviation)}` : told, { "text-anchor": "end" }));
  return row;
}

/** Every seed at the N of now, a row for each estimator. */
function drawDots(svg, { bench, state, width, id }) {
  const { facts, cell } = bench;
  const wide = width >= 520;
  const names = shortNames(state.shown.map((e) => facts.estimators[e]), wide ? 20 : 15);
  const box = { left: 26 + 6.6 * Math.max(4, ...names.map(({ length }) => length)), right: width - (wide ? 118 : 54), top: 24, row: 27 };
  const bottom = box.top + box.row * names.length;
  const range = valueRange(facts, state);
  const toX = bounded(scale(...range, box.left, box.right));
  const truth = toX(facts.cases[state.c].truth);
  svg.setAttribute("viewBox", `0 0 ${width} ${bottom + 36}`);
  svg.style.height = `${bottom + 36}px`;
  svg.replaceChildren(
    make("clipPath", { id: `${id}-dots` }, make("rect", { x: box.left, y: 0, width: box.right - box.left, height: bottom })),
    ...valueTicks(...range, wide ? 6 : 4).flatMap(([value, text]) => [
      make("line", { class: "lr-grid", x1: toX(value), x2: toX(value), y1: box.top, y2: bottom }),
      say(toX(value), bottom + 16, text, { "text-anchor": "middle", "data-value-tick": value }),
    ]),
    make("line", { class: "lr-axis", x1: box.left, x2: box.right, y1: bottom, y2: bottom }),
    say((box.left + box.right) / 2, bottom + 32, "nats", { "text-anchor": "middle" }),
    make("line", { class: "lr-truth", x1: truth, x2: truth, y1: box.top - 4, y2: bottom }),
    say(truth, box.top - 9, "truth", { "text-anchor": "middle", class: "lr-strong" }),
    say(width, box.top - 9, wide ? "bias ± spread" : "bias", { "text-anchor": "end" }),
    ...state.shown.map((e, i) => dotRow(facts, { e, name: names[i], found: cell(state.c, e, state.k), y: box.top + box.row * (i + 0.5), box, toX, range, wide, id, width })),
  );
}

/** The points of a case in a square frame, its ends written on two sides. */
function drawScatter(svg, { bench, state }) {
  const frame = bench.facts.cases[state.c].scatter;
  if (!frame) return;
  const [left, top, side] = [44, 6, 136];
  const dots = bench.points[state.c].map(([x, y]) => make("circle", { r: 1.7, cx: (left + side * x).toFixed(1), cy: (top + side * (1 - y)).toFixed(1) }));
  const [bottom, right] = [top + side, left + side];
  svg.setAttribute("viewBox", `0 0 ${right + 10} ${bottom + 22}`);
  svg.replaceChildren(
    make("rect", { class: "lr-frame", x: left, y: top, width: side, height: side }),
    make("g", { class: "lr-cloud" }, dots),
    ...frame.x.map((value, i) => say(i ? right : left, bottom + 16, natsText(value, { digits: 1 }), { "text-anchor": i ? "end" : "start" })),
    ...frame.y.map((value, i) => say(left - 5, i ? top + 11 : bottom, natsText(value, { digits: 1 }), { "text-anchor": "end" })),
    say((left + right) / 2, bottom + 16, "x", { "text-anchor": "middle", class: "lr-strong" }),
    say(left - 5, (top + bottom) / 2 + 4, "y", { "text-anchor": "end", class: "lr-strong" }),
  );
}
