// The two plots of TrainingExplorer over the training: local rank of every layer, and losses or accuracies.

const LEFT = 50; // room for the numbers of an axis

/** A power of ten in letters of one size: a raised exponent would be too small to read. */
function decadeText(d) {
  return d >= -4 && d < 5 ? String(Number(`1e${d}`)) : `1e${d}`.replace("-", "\u2212");
}

/** What both plots share: their step axis, and the room at the right for the names of the lines. */
function stepFrame(facts, width) {
  const names = shortNames(facts.layers, 10);
  const [left, right] = [LEFT, width - 14 - 7 * Math.max(5, ...names.map((name) => name.length))];
  return { names, left, right, ...stepAxis(facts.steps, left + 6, right - 6) };
}

/** SVG path of a band: along its top and back along its bottom. Places where it is not known are left out. */
function bandPath(places, bands, toY) {
  const known = bands.map((band, t) => [places[t], band]).filter(([, band]) => band !== null);
  if (known.length < 2) return "";
  const side = (q) => known.map(([x, band]) => [x, toY(band[q])]);
  return `${path(side(1))}L${path(side(0).toReversed()).slice(1)}Z`;
}

/** Lines over the training: each {name, values, bands, stroke(d), colour}, values null where not stored. */
function drawOverSteps(svg, { frame, lines, toY, ticks, t, top, bottom, height, width, last }) {
  const { left, right, places, ticks: steps, zero } = frame;
  const here = places[t];
  const shown = lines.map((line) => ({
    ...line,
    points: line.values.map((value, i) => [places[i], value]).filter(([, value]) => value !== null).map(([x, value]) => [x, toY(value)]),
  }));
  const labelled = shown.filter(({ points }) => points.length);
  const labels = spread(labelled.map(({ points }) => points.at(-1)[1]), 14, top, bottom);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.replaceChildren(
    ...ticks.flatMap(([value, text]) => [
      make("line", { class: "lr-grid", x1: left, x2: right, y1: toY(value), y2: toY(value) }),
      say(left - 6, toY(value) + 4, text, { "text-anchor": "end" }),
    ]),
    make("line", { class: "lr-axis", x1: left, x2: right, y1: bottom, y2: bottom }),
    ...steps.flatMap(([x, text]) => [
      make("line", { class: "lr-axis", x1: x, x2: x, y1: bottom, y2: bottom + 4 }),
      ...(last ? [say(x, bottom + 17, text, { "text-anchor": "middle" })] : []),
    ]),
    ...(zero === null ? [] : [say(zero, bottom + 4, "//", { "text-anchor": "middle" })]),
    ...(last ? [say((left + right) / 2, height - 4, "training step (log scale)", { "text-anchor": "middle" })] : []),
    ...shown.map(({ bands, colour }) => make("path", { class: "lr-band", d: bandPath(places, bands, toY), fill: colour })),
    make("line", { class: "lr-cut", x1: here, x2: here, y1: top - 4, y2: bottom }),
    ...shown.map(({ stroke, points }) => stroke(path(points))),
    ...shown.filter(({ values }) => values[t] !== null).map(({ values, colour }) => make("circle", { cx: here, cy: toY(values[t]), r: 4.5, fill: colour, class: "lr-dot" })),
    ...labelled.flatMap(({ name, points }, i) => [
      make("line", { class: "lr-lead", x1: points.at(-1)[0] + 4, y1: points.at(-1)[1], x2: right + 6, y2: labels[i] }),
      say(right + 9, labels[i] + 4, name),
    ]),
  );
}

/** Draw the reading of every layer against the step. */
function drawRanks(svg, { facts, data, state, frame, width, height, last }) {
  const [top, bottom] = [10, height - (last ? 38 : 8)];
  const { most } = facts.readings[state.r];
  const steps = facts.steps.map((_, t) => t);
  const lines = facts.layers.map((_, l) => ({
    name: frame.names[l],
    values: steps.map((t) => data.rank(state, l, t)),
    bands: steps.map((t) => data.band(state, l, t)),
    stroke: (d) => styledLine(facts, l, d),
    colour: colourOf(facts, l),
  }));
  const ticks = rankTicks(most).map((rank) => [rank, String(rank)]);
  drawOverSteps(svg, { frame, lines, toY: scale(0, most, bottom, top + 4), ticks, t: state.t, top, bottom, height, width, last });
}

/** The axis of losses: logarithmic over the positive ones of all runs, at most six decades of them. */
function lossAxis(values, bottom, top) {
  const positive = values.filter((value) => value > 0);
  if (!positive.length) return { toY: () => bottom, ticks: [] };
  const high = Math.log10(Math.max(...positive));
  const low = Math.min(Math.max(Math.log10(Math.min(...positive)), high - 6), high - 0.5);
  const toY = scale(low, high, bottom, top + 4);
  const ticks = [];
  const leads = high - low > 2 ? [1] : [1, 2, 5];
  for (let d = Math.floor(low); d <= high; d += 1) {
    for (const value of leads.map((lead) => Number(`${lead}e${d}`))) {
      const inside = value >= 10 ** low && value <= 10 ** high;
      if (inside) ticks.push([value, leads.length > 1 ? String(value) : decadeText(d)]);
    }
  }
  return { toY: (value) => toY(Math.max(low, Math.log10(Math.max(value, 1e-300)))), ticks };
}

/** Draw training and test loss, or accuracy, against the step. */
function drawPerformance(svg, { facts, data, state, frame, width, height }) {
  const [top, bottom] = [10, height - 38];
  const names = Object.keys(facts.network).filter((name) => name.endsWith(state.performance));
  const share = scale(0, 1, bottom, top + 4);
  const all = names.flatMap((name) => facts.network[name].flat(2));
  const axis =
    state.performance === "loss"
      ? lossAxis(all, bottom, top)
      : { toY: share, ticks: [0, 0.5, 1].map((value) => [value, String(value)]) };
  const steps = facts.steps.map((_, t) => t);
  const lines = names.map((name) => ({
    name: name.split("_")[0],
    values: steps.map((t) => data.network(state, name, t)),
    bands: steps.map((t) => data.networkBand(state, name, t)),
    stroke: (d) => make("path", { d, class: `lr-line lr-performance lr-${name.split("_")[0]}` }),
    colour: "currentColor",
  }));
  drawOverSteps(svg, { frame, lines, ...axis, t: state.t, top, bottom, height, width, last: true });
}
