// The two planes of InformationPlane: a path for each layer over the steps of training, and where it is now.

const NAME_HEIGHT = 14;
const TOGETHER = 13; // points nearer than this share one name

function layerSwatch(facts, place) {
  return make("svg", { width: 30, height: 14, "aria-hidden": "true" }, styledLine(facts, place, "M0 7L30 7"), make("circle", { cx: 15, cy: 7, r: 4.5, fill: colourOf(facts, place), class: "lr-dot" }));
}

/** The axis of I(X;T), of local rank, or of the left plane's height: { title, axis, logarithmic, caps }. */
function planeAxes({ option, rank, vertical }) {
  return {
    information: { title: "I(X;T), nats", caps: option.caps, logarithmic: false, axis: option.axis },
    rank: { title: rank.text, caps: [], logarithmic: false, axis: rank.axis },
    vertical: vertical ? { ...vertical, title: `${vertical.text}${vertical.column === null ? "" : ", nats"}${vertical.logarithmic ? " (log scale)" : ""}` } : null,
  };
}

/**
 * What a plane shows: its axes across and up, and for each layer the points that are stored. A point has the step t and,
 * across and up, a quantity { value, low, high } and what its bar leads to, if anything.
 */
function planeItems(data, state, plane) {
  const axes = planeAxes(state);
  const left = plane === "information";
  const layers = state.shown.map((l) => {
    const points = state.own.flatMap((t) => {
      const { information, upper, rank, vertical } = layerAt(data, state, l, t);
      const other = left ? vertical : rank;
      if (!information || !other) return [];
      const [across, up] = left ? [information, vertical] : [rank, information];
      const ends = left ? { acrossEnd: upper, upEnd: null } : { acrossEnd: null, upEnd: upper };
      return [{ t, across, up, ...ends, open: information.saturated > 0 }];
    });
    return { l, name: state.task.layers[l], place: data.facts.layers.indexOf(state.task.layers[l]), points };
  });
  return left ? { layers, across: axes.information, up: axes.vertical } : { layers, across: axes.rank, up: axes.information };
}

/** A map from an axis to pixels, with a margin at both ends, and its ticks [value, text]. */
function planeScale({ axis: [low, high], logarithmic }, start, end, most) {
  if (!logarithmic) {
    const margin = 0.05 * (high - low);
    return { to: scale(low - margin, high + margin, start, end), ticks: planeTicks(low, high, most) };
  }
  const [from, to] = [Math.log10(low), Math.log10(high)];
  const margin = 0.05 * (to - from);
  const along = scale(from - margin, to + margin, start, end);
  const leads = to - from > 2 ? [1] : to - from > 0.7 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
  const ticks = [];
  for (let d = Math.floor(from); d <= to; d += 1) {
    ticks.push(...leads.map((lead) => Number(`${lead}e${d}`)).filter((value) => value >= low && value <= high));
  }
  const text = (value) => (value >= 1e-4 ? String(value) : value.toExponential().replace("-", "\u2212"));
  return { to: (value) => along(Math.log10(Math.max(value, low))), ticks: ticks.map((value) => [value, text(value)]) };
}

/** Round numbers from `low` to `high`, about `most` of them. */
function planeTicks(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((n) => n * power >= rough * 0.999);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => [(first + i) * step, ((first + i) * step).toFixed(digits).replace("-", "\u2212")]);
}

/** Grid, ticks, titles, and the caps as dashed lines with their names. */
function planeGround(box, { across, up }, toX, toY) {
  const { left, right, top, bottom } = box;
  const onAxis = ({ axis, caps }) => caps.filter(({ value }) => value <= axis[1]);
  const above = ({ text }, i) => ({ y: top - 7 - 14 * i, text: `cap ${text}` });
  return [
    ...toX.ticks.flatMap(([value, text]) => [
      make("line", { class: "lr-grid", x1: toX.to(value), x2: toX.to(value), y1: top, y2: bottom }),
      say(toX.to(value), bottom + 16, text, { "text-anchor": "middle", "data-across-tick": value }),
    ]),
    ...toY.ticks.flatMap(([value, text]) => [
      make("line", { class: "lr-grid", x1: left, x2: right, y1: toY.to(value), y2: toY.to(value) }),
      say(left - 6, toY.to(value) + 4, text, { "text-anchor": "end", "data-up-tick": value }),
    ]),
    make("line", { class: "lr-axis", x1: left, x2: right, y1: bottom, y2: bottom }),
    make("line", { class: "lr-axis", x1: left, x2: left, y1: top, y2: bottom }),
    say((left + right) / 2, bottom + 34, across.title, { "text-anchor": "middle", "data-title": "across" }),
    say(0, 12, up ? up.title : "", { "data-title": "up" }),
    ...onAxis(across).flatMap((cap, i) => {
      const [x, { y, text }] = [toX.to(cap.value), above(cap, i)];
      return [make("path", { class: "lr-cap", d: path([[x, y + 4], [x, bottom]]), "data-cap": cap.value }), say(x + 4, y, text, { "text-anchor": "end" })];
    }),
    ...(up ? onAxis(up) : []).flatMap((cap, i) => {
      const [y, row] = [toY.to(cap.value), 12 + 14 * i];
      const text = say(right, row, `cap ${cap.text}`, { "text-anchor": "end" });
      const sign = make("path", { class: "lr-cap", d: path([[right - 30 - 5.6 * (4 + cap.text.length), row - 4], [right - 10 - 5.6 * (4 + cap.text.length), row - 4]]) });
      return [make("path", { class: "lr-cap", d: path([[left, y], [right, y]]), "data-cap": cap.value }), sign, text];
    }),
  ];
}

/** One layer: its path, as far as it has come and what is still to come, and its points; the first is a square. */
function layerPath({ facts, state }, { place, name, points }, at) {
  const done = points.filter(({ t }) => t <= state.t);
  const coming = points.filter(({ t }) => t >= (done.at(-1)?.t ?? -1));
  const colour = colourOf(facts, place);
  const dot = (point, i) => {
    const [x, y] = at(point);
    const look = { class: point.open ? "lr-step-dot lr-open" : "lr-step-dot", fill: colour, stroke: colour, "data-step": state.task.steps[point.t] };
    const faint = point.t > state.t ? { opacity: 0.45 } : {};
    if (i === 0) return make("rect", { x: (x - 3.5).toFixed(1), y: (y - 3.5).toFixed(1), width: 7, height: 7, ...look, ...faint });
    return make("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 2.4, ...look, ...faint });
  };
  const lines = [
    coming.length > 1 ? styledLine(facts, place, path(coming.map(at)), { opacity: 0.4 }) : null,
    done.length > 1 ? styledLine(facts, place, path(done.map(at))) : null,
  ];
  return make("g", { "data-path": name }, lines, points.map(dot));
}

/** Where a layer is now: the seeds' box, the bar to the upper bound, so many pixels aside, and the point. */
function layerNow({ facts, aside }, { place, name }, point, toX, toY) {
  const { across, up, acrossEnd, upEnd, open } = point;
  const colour = colourOf(facts, place);
  const [x, y] = [toX.to(across.value), toY.to(up.value)];
  const far = [acrossEnd ? toX.to(acrossEnd.value) : x, upEnd ? toY.to(upEnd.value) : y];
  const range = (quantity, end, { to }) => {
    const ends = [quantity.low, quantity.high, ...(end ? [end.low, end.high] : [])].map(to);
    return [Math.min(...ends), Math.max(...ends)];
  };
  const [[x1, x2], [y1, y2]] = [range(across, acrossEnd, toX), range(up, upEnd, toY)];
  const several = across.low !== across.high || up.low !== up.high;
  const box = several ? make("rect", { class: "lr-seeds", x: x1.toFixed(1), y: y1.toFixed(1), width: Math.max(1, x2 - x1).toFixed(1), height: Math.max(1, y2 - y1).toFixed(1), fill: colour, stroke: colour }) : null;
  const bar = acrossEnd || upEnd ? make("path", { class: "lr-bounds", d: path([[x, y + aside], [far[0], far[1] + aside]]), stroke: colour }) : null;
  const look = { class: open ? "lr-now-dot lr-open" : "lr-now-dot", fill: colour, stroke: colour };
  return make("g", { "data-now": name }, box, bar, make("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 6, ...look }));
}

/** Names beside points, one for those that lie together: each goes where it covers no point and no other name. */
function nameNow(svg, marks, box) {
  const groups = [];
  for (const mark of marks) {
    const near = groups.find(({ x, y }) => Math.hypot(x - mark.x, y - mark.y) < TOGETHER);
    if (near) near.names.push(mark.name);
    else groups.push({ x: mark.x, y: mark.y, names: [mark.name] });
  }
  const taken = groups.map(({ x, y }) => [x - 6, y - 6, x + 6, y + 6]);
  const meets = ([a1, b1, a2, b2]) => ([c1, d1, c2, d2]) => a1 < c2 && c1 < a2 && b1 < d2 && d1 < b2;
  const inside = ([a1, b1, a2, b2]) => a1 >= box.left && a2 <= box.right + 14 && b1 >= box.top - 10 && b2 <= box.bottom;
  return groups.map(({ x, y, names }) => {
    const text = names.join(", ");
    const wide = widestOf(svg, [text], { class: "lr-strong" });
    const places = [0, NAME_HEIGHT, -NAME_HEIGHT, 2 * NAME_HEIGHT, -2 * NAME_HEIGHT, 3 * NAME_HEIGHT, -3 * NAME_HEIGHT].flatMap((down) => [
      [x + 10, y - 7 + down, x + 10 + wide, y + 7 + down],
      [x - 10 - wide, y - 7 + down, x - 10, y + 7 + down],
      [x - wide / 2, y + (down > 0 ? 9 : -23) + down, x + wide / 2, y + (down > 0 ? 23 : -9) + down],
    ]);
    const place = places.find((area) => inside(area) && !taken.some(meets(area))) ?? places[0];
    taken.push(place);
    const [from, , to, below] = place;
    const anchor = from > x ? "start" : to < x ? "end" : "middle";
    const at = { start: from, end: to, middle: (from + to) / 2 }[anchor];
    return say(at, below - 3, text, { "text-anchor": anchor, class: "lr-strong lr-haloed", "data-names": text });
  });
}

/** How many rows of names a plane has above it: the height's and those of caps. */
function rowsAbove({ across, up }) {
  const [own, others] = [up, across].map((axis) => (axis?.caps ?? []).filter(({ value }) => value <= axis.axis[1]).length);
  return Math.max(1, own) + others;
}

/** Draw a plane below so many rows of names. Returns where its points are, { x, y, t }. */
function drawPlane(svg, { layers, across, up }, { facts, state, width, rows }) {
  const top = 14 + 14 * rows;
  const bottom = top + Math.min(300, Math.max(220, 0.75 * width));
  const toY = planeScale(up ?? { axis: [0, 1] }, bottom, top, 5);
  const left = Math.max(46, 8 + widestOf(svg, toY.ticks.map(([, text]) => text)));
  const box = { left, right: width - 14, top, bottom };
  const height = box.bottom + 42;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  const toX = planeScale(across, box.left, box.right, width < 400 ? 5 : 6);
  const at = (point) => [toX.to(point.across.value), toY.to(point.up.value)];
  const here = layers.flatMap((layer) => layer.points.filter(({ t }) => t === state.t).map((point) => ({ layer, point })));
  const marks = here.map(({ layer: { name }, point }) => ({ name, x: at(point)[0], y: at(point)[1] }));
  const oneHeight = new Set(here.map(({ point }) => point.up.value)).size === 1; // bars would hide one another
  const all = layers.flatMap(({ points }) => points);
  svg.replaceChildren(
    ...planeGround(box, { across, up }, toX, toY),
    ...layers.map((layer) => layerPath({ facts, state }, layer, at)),
    ...here.map(({ layer, point }, i) => layerNow({ facts, aside: oneHeight ? 4 * (i - (here.length - 1) / 2) : 0 }, layer, point, toX, toY)),
    ...nameNow(svg, marks, box),
    ...(all.length ? [] : [say((box.left + box.right) / 2, (box.top + box.bottom) / 2, layers.length ? "not stored" : "no layer is on", { "text-anchor": "middle", "data-empty": true })]),
  );
  return all.map((point) => ({ x: at(point)[0], y: at(point)[1], t: point.t }));
}
