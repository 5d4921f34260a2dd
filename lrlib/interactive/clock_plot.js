// The curves of ClockCollapse and their plot. Half-rank times come from Python; here they are multiplied by what a
// step is worth on an axis, and sorted.

const TIMES = {
  steps: { short: "steps t", symbol: "t", axis: "training step t" },
  clock: { short: "ηλt", symbol: "ηλt", axis: "ηλt = learning rate × weight decay × steps" },
  corrected: { short: "corrected ηλt", symbol: "corrected ηλt", axis: "corrected clock: ηλt × speed of the optimiser" },
};
const MARGIN = { left: 36, right: 12, top: 26, bottom: 38 };
const LABEL_ROOM = 40; // pixels for the letters of a tick
const REACH = 24; // pixels from the pointer within which a curve is found

/** The curves that Python sent: points to draw as [log10 of steps, mean, low, high], and what a step is worth. */
async function readCurves(model) {
  const facts = model.get("facts");
  const [steps, codes] = await Promise.all([unpack(model, "steps", Uint32Array), unpack(model, "ranks", Uint16Array)]);
  let from = 0;
  return facts.curves.map((curve) => {
    const n = curve.points;
    const rank = (q, i) => codes[3 * from + q * n + i] * facts.unit;
    const points = Array.from({ length: n }, (_, i) => [steps[from + i], rank(0, i), rank(1, i), rank(2, i)]);
    from += n;
    const clock = curve.lr * curve.decay;
    const drawn = opened(points, facts.shares).map(([step, ...ranks]) => [Math.log10(step), ...ranks]);
    return { ...curve, g: facts.groups.indexOf(curve.group), drawn, worth: { steps: 1, clock, corrected: curve.speed * clock } };
  });
}

/** A step 0 has no place on a log axis: points on the way from it to the next step, in time, stand for it. */
function opened(points, shares) {
  if (points[0][0] > 0) return points;
  const [first, second] = points;
  const between = (share) => first.map((value, k) => value + share * (second[k] - value));
  return [...shares.map(between), ...points.slice(1)];
}

/** A curve's half-rank time on this axis; null if it never falls to half. */
function halfTime(curve, time) {
  return curve.half === null ? null : curve.half * curve.worth[time];
}

/** How many curves fall to half, and how far their times lie apart: what ClockCollapse.spread is in Python. */
function spreadOf(curves, time) {
  const times = curves.map((curve) => halfTime(curve, time)).filter((t) => t !== null).sort((a, b) => a - b);
  const n = times.length;
  const found = { curves: curves.length, reached: n };
  if (!n) return found;
  const median = (times[Math.floor((n - 1) / 2)] + times[Math.ceil((n - 1) / 2)]) / 2;
  return { ...found, lowest: times[0], median, highest: times[n - 1], factor: times[n - 1] / times[0] };
}

/** A number in three digits, without an exponent where it can be. */
function timeText(t) {
  const rounded = Number(t.toPrecision(3));
  return rounded >= 1e-4 && rounded < 1e7 ? String(rounded) : t.toExponential(2).replace("-", "\u2212").replace("+", "");
}

function swatch(facts, g) {
  return make("svg", { width: 30, height: 10, "aria-hidden": "true" }, styledLine(facts, g, "M0 5L30 5"));
}

/**
 * Ticks within a window of log10, `decade` pixels a power of ten, as [place, text or null]: 1, 2, ... 9 times each
 * power. Powers have their text where there is room; 2 and 5 times a power too where there are few powers.
 */
function logTicks([start, end], decade) {
  const every = Math.ceil(LABEL_ROOM / decade);
  const few = end - start < 2 ? [1, 2, 5] : [1];
  const written = (n, d) => (d > -4 && d < 5 ? String(Number(`${n}e${d}`)) : n === 1 && powerOfTen(d));
  const ticks = [];
  for (let d = Math.floor(start); d <= end; d += 1) {
    for (let n = 1; n < 10; n += 1) ticks.push([d + Math.log10(n), (few.includes(n) && d % every === 0 && written(n, d)) || null]);
  }
  return ticks.filter(([place]) => place >= start && place <= end);
}

/** How far two points, a segment's ends, are from (x, y). */
function distanceTo(x, y, [x0, y0], [x1, y1]) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const share = Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x0 + share * dx - x, y0 + share * dy - y);
}

/**
 * The plot. All axes have the same decades, so a curve is drawn once for a width and then only moved sideways: by
 * transforms, which the style sheet lets glide. `place` shows a state; `nearest` finds the curve under the pointer.
 */
function collapsePlot(svg, { facts, curves, id }) {
  const layer = (extra = {}) => make("g", extra);
  const [ground, span, lines, front] = [layer(), layer(), layer(), layer()];
  const clip = make("rect", { y: 0 });
  const inside = make("g", { "clip-path": `url(#${id}-plot)` }, span, lines, front);
  svg.replaceChildren(make("clipPath", { id: `${id}-plot` }, clip), ground, inside);
  let at = null; // where things stand at this width
  let now = null; // the state that is shown
  let inFront = null; // the curve that is drawn again, before the others

  const shiftOf = (curve, time) => at.left + (Math.log10(curve.worth[time]) - facts.windows[time][0]) * at.decade;
  const move = (node, x) => (node.style.transform = `translateX(${x.toFixed(2)}px)`);
  const points = (curve, q) => curve.drawn.map((point) => [point[0] * at.decade, at.toY(point[q])]);
  const mark = (curve, r) => {
    if (curve.half === null) return null;
    const place = { cx: (Math.log10(curve.half) * at.decade).toFixed(2), cy: at.toY(curve.highest / 2).toFixed(2) };
    return make("circle", { ...place, r, class: "lr-dot", fill: colourOf(facts, curve.g) });
  };
  const curveNode = (curve, ...more) => make("g", { class: "lr-glide", "data-group": curve.group, "data-name": curve.name }, ...more);

  const layout = (width) => {
    const height = width < 520 ? 300 : 360;
    const [left, right, top, bottom] = [MARGIN.left, width - MARGIN.right, MARGIN.top, height - MARGIN.bottom];
    const [start, end] = facts.windows.steps;
    at = { width, height, left, right, top, bottom, decade: (right - left) / (end - start), toY: scale(0, facts.most, bottom, top) };
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.style.height = `${height}px`;
    Object.entries({ x: left, y: top - 1, width: right - left + 1, height: bottom - top + 2 }).forEach((pair) => clip.setAttribute(...pair));
    lines.replaceChildren(...curves.map((curve) => curveNode(curve, styledLine(facts, curve.g, path(points(curve, 1))), mark(curve, 3.5))));
    span.replaceChildren(make("rect", { class: "lr-range lr-glide" }), make("line", { class: "lr-median lr-glide", y1: top, y2: bottom }));
    front.replaceChildren();
    inFront = null;
  };

  const drawGround = (time) => {
    const { left, right, top, bottom, decade, toY, height } = at;
    const toX = (log) => left + (log - facts.windows[time][0]) * decade;
    ground.replaceChildren(
      ...rankTicks(facts.most).flatMap((rank) => [
        make("line", { class: "lr-grid", x1: left, x2: right, y1: toY(rank), y2: toY(rank) }),
        say(left - 6, toY(rank) + 4, String(rank), { "text-anchor": "end" }),
      ]),
      make("line", { class: "lr-axis", x1: left, x2: right, y1: bottom, y2: bottom }),
      ...logTicks(facts.windows[time], decade).flatMap(([log, text]) => [
        make("line", { class: "lr-axis", x1: toX(log), x2: toX(log), y1: bottom, y2: bottom + (text ? 5 : 3) }),
        text && say(toX(log), bottom + 18, text, { "text-anchor": "middle", "data-tick": true }),
      ]).filter(Boolean),
      say((left + right) / 2, height - 4, TIMES[time].axis, { "text-anchor": "middle" }),
    );
  };

  /** The shaded range from the lowest to the highest half-rank time, its factor above it, and the median. */
  const drawSpan = ({ lowest, median, highest, factor, reached }, time) => {
    const { left, right, top, bottom, decade } = at;
    const toX = (t) => left + (Math.log10(t) - facts.windows[time][0]) * decade;
    const [range, middle] = span.children;
    span.setAttribute("display", reached ? "inline" : "none");
    if (!reached) return;
    const width = Math.max(1, toX(highest) - toX(lowest));
    Object.entries({ x: toX(lowest).toFixed(2), y: top, width: width.toFixed(2), height: bottom - top }).forEach((pair) => range.setAttribute(...pair));
    move(middle, toX(median));
    const text = `half-rank times: × ${timeText(factor)}`;
    const room = 3.6 * text.length; // half of its width, about
    const x = Math.min(right - room, Math.max(left + room, (toX(lowest) + toX(highest)) / 2));
    if (reached > 1) ground.append(say(x, top - 10, text, { "text-anchor": "middle", class: "lr-strong", "data-factor": factor }));
  };

  const drawFront = (curve) => {
    if (inFront === curve) return;
    inFront = curve;
    if (!curve) return front.replaceChildren();
    const [low, high] = [points(curve, 2), points(curve, 3)];
    const band = make("path", { d: `${path(high)}L${path(low.toReversed()).slice(1)}Z`, class: "lr-seeds", fill: colourOf(facts, curve.g) });
    const dot = mark(curve, 6);
    const [x, y] = dot ? [dot.getAttribute("cx"), dot.getAttribute("cy")] : [0, 0];
    const drop = dot && make("line", { class: "lr-cut", x1: x, x2: x, y1: y, y2: at.bottom });
    return front.replaceChildren(curveNode(curve, band, styledLine(facts, curve.g, path(points(curve, 1))), ...[drop, dot].filter(Boolean)));
  };

  const place = (state) => {
    if (at?.width !== state.width) layout(state.width);
    now = state;
    drawGround(state.time);
    drawSpan(state.spread, state.time);
    curves.forEach((curve, i) => {
      move(lines.children[i], shiftOf(curve, state.time));
      lines.children[i].setAttribute("display", state.shown.has(curve.group) ? "inline" : "none");
    });
    point(state.curve);
  };
  const point = (curve) => {
    drawFront(curve);
    if (curve) move(front.firstChild, shiftOf(curve, now.time));
    lines.classList.toggle("lr-behind", curve !== null);
  };
  const nearestTo = (x, y) => {
    const found = { curve: null, distance: REACH };
    for (const curve of curves.filter(({ group }) => now.shown.has(group))) {
      const shift = shiftOf(curve, now.time);
      const line = points(curve, 1).map(([px, py]) => [px + shift, py]);
      for (let i = 1; i < line.length; i += 1) {
        const distance = distanceTo(x, y, line[i - 1], line[i]);
        if (distance < found.distance) Object.assign(found, { curve, distance });
      }
    }
    return found.curve;
  };
  return { place, point, nearest: nearestTo };
}
