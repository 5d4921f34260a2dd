// The pictures of AnnealedClusters: the tree of clusters over β, the information plane, and the encoder at one β.

const TREE = { left: 40, top: 22, bottom: 40 }; // left: at least, more where the ticks' letters are wide
const UPWARD = 44; // left of the information plane, at least
const LETTER = 6.6; // pixels of a digit, about
const SHADES = 12; // steps from one end of the axis to the other in which branches change their colour

/** What Python sent of each table, with its branches unpacked: `at(place)` is the list of clusters there. */
async function readTables(model) {
  const facts = model.get("facts");
  const codes = await unpack(model, "branches", Uint16Array);
  let from = 0;
  return facts.tables.map((table) => {
    const [count, X, Y] = [table.betas.length, table.names.length, table.outcomes.length];
    const start = from;
    const size = (1 + Y + X) * count;
    from += table.branches * size;
    const there = (branch, place) => codes[start + branch * size + place] > 0;
    const numbers = (branch, place, first, n) =>
      Array.from({ length: n }, (_, i) => (codes[start + branch * size + (first + i) * count + place] - 1) * facts.unit);
    const cluster = (branch, place) => ({
      branch,
      mass: numbers(branch, place, 0, 1)[0],
      prediction: numbers(branch, place, 1, Y),
      encoder: numbers(branch, place, 1 + Y, X),
    });
    const branches = Array.from({ length: table.branches }, (_, branch) => branch);
    const at = (place) => branches.filter((branch) => there(branch, place)).map((branch) => cluster(branch, place));
    return { ...table, at, logs: table.betas.map(Math.log10) };
  });
}

/** What is drawn upwards: the probability of one outcome, or for null the main axis. */
function axisOf(table, outcome) {
  const weights = outcome === null ? table.axis : table.outcomes.map((name) => Number(name === outcome));
  const height = (prediction) => prediction.reduce((sum, q, j) => sum + q * weights[j], 0);
  const heights = table.predictions.map(height);
  const [least, most] = [Math.min(...heights), Math.max(...heights)];
  const [low, high] = most - least > 1e-9 ? [least, most] : [least - 0.05, most + 0.05];
  return { height, heights, low, high, share: (h) => Math.min(1, Math.max(0, (h - low) / (high - low))), ...axisWords(table, outcome, weights) };
}

/** The axis in words: a short name, and which way is up. */
function axisWords(table, outcome, weights) {
  if (outcome !== null) return { name: `P(${outcome})`, aside: "" };
  const [up, down] = [Math.max, Math.min].map((end) => table.outcomes[weights.indexOf(end(...weights))]);
  return { name: "main axis", aside: ` of the predictions, 0 at p(y): up is more ${up}, down more ${down}` };
}

/** The clusters at a place, from the top of the tree to its bottom: their numbers are 1, 2, ... */
function numbered(table, axis, place) {
  const found = table.at(place).map((cluster) => ({ ...cluster, height: axis.height(cluster.prediction) }));
  return found.sort((a, b) => b.height - a.height || a.branch - b.branch);
}

/** The colour of a place on the axis, between the three that Python names. */
function blend({ colours }, share) {
  const at = Math.min(0.999, share) * (colours.length - 1);
  const parts = colours.slice(Math.floor(at), Math.floor(at) + 2).map((c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16)));
  const mixed = parts[0].map((part, k) => Math.round(part + (at % 1) * (parts[1][k] - part)));
  return `rgb(${mixed.join(", ")})`;
}

/** Round numbers between two ends, at most about `count` of them, with their text. */
function roundTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const stride = [1, 2, 5, 10].map((n) => n * power).find((s) => s >= rough * 0.999);
  const digits = Math.max(0, -Math.floor(Math.log10(stride) + 1e-9));
  const first = Math.ceil(low / stride - 1e-9);
  const last = Math.floor(high / stride + 1e-9);
  const text = (n) => (n * stride).toFixed(digits).replace(/^-(0(\.0+)?)$/, "$1").replace("-", "\u2212");
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => [(first + i) * stride, text(first + i)]);
}

/** Round numbers on the axis of β with room between their letters, powers of ten first; the two ends if there are none. */
function betaTicks(table, toX) {
  const [first, last] = [table.betas[0], table.betas.at(-1)];
  const kept = [];
  for (const lead of [1, 2, 5, 3, 1.5, 7]) {
    if (lead === 3 && kept.length > 3) break;
    for (let d = -4; d < 9; d += 1) {
      const beta = Number(`${lead}e${d}`);
      const inside = beta >= first * 0.999 && beta <= last * 1.001;
      if (inside && kept.every((other) => Math.abs(toX(other) - toX(beta)) >= 34)) kept.push(beta);
    }
  }
  return kept.length ? kept : [...new Set([first, last])].map((beta) => Number(beta.toPrecision(3)));
}

/** Pieces of branches that follow one another in one width and colour, as [points, width, shade]. */
function pieces(table, axis, widest) {
  const parents = new Map(table.births.map(([place, branch, parent]) => [`${place} ${branch}`, parent]));
  const open = new Map(); // branch -> its last piece
  const found = [];
  const draw = (place, before, old, branch, cluster) => {
    const from = before.get(old);
    const width = Math.max(1.5, Math.round(2 * widest * cluster.mass) / 2);
    const shade = Math.round(SHADES * axis.share((from.height + cluster.height) / 2)) / SHADES;
    const last = open.get(branch);
    const goes = old === branch && last?.width === width && last.shade === shade && last.end === place - 1;
    const piece = goes ? last : { points: [[place - 1, from.height]], width, shade };
    piece.points.push([place, cluster.height]);
    piece.end = place;
    if (!goes) found.push(piece);
    return piece;
  };
  let before = new Map();
  table.betas.forEach((_, place) => {
    const now = new Map(numbered(table, axis, place).map((cluster) => [cluster.branch, cluster]));
    if (place) {
      now.forEach((cluster, branch) => open.set(branch, draw(place, before, parents.get(`${place} ${branch}`) ?? branch, branch, cluster)));
      table.deaths.filter(([when]) => when === place).forEach(([, old, heir]) => draw(place, before, old, heir, now.get(heir)));
    }
    before = now;
  });
  return found.sort((a, b) => b.width - a.width); // thin ones are not hidden below wide ones
}

/** Labels of the critical βs, where there is room: [x, text]. */
function criticalLabels(table, toX) {
  const kept = [];
  for (const beta of table.critical) {
    const [x, text] = [toX(beta), beta.toPrecision(3)];
    if (!kept.length || x - kept.at(-1)[0] >= 4 + LETTER * text.length) kept.push([x, text]);
  }
  return kept;
}

/** Names in at most `room` letters: cut at the end, or in the middle where ends tell them apart, or numbers. */
function objectLabels(names, room) {
  const cuts = [(name) => `${name.slice(0, room - 1)}…`, (name) => `${name.slice(0, room - 5)}…${name.slice(-4)}`];
  const tried = cuts.map((cut) => names.map((name) => (name.length > room ? cut(name) : name)));
  return tried.find((labels) => new Set(labels).size === names.length) ?? names.map((_, x) => `#${x + 1}`);
}

/** The tree. What does not depend on β is drawn once for a width, table and axis; `show` moves the cursor. */
function treePlot(svg, facts) {
  const [ground, front] = [make("g"), make("g")];
  svg.replaceChildren(ground, front);
  let at = null;
  const layout = ({ table, axis, width }) => {
    const names = objectLabels(table.names, width < 520 ? 9 : 15);
    const right = width - 20 - widestOf(svg, names);
    const height = Math.max(width < 520 ? 270 : 320, TREE.top + TREE.bottom + 14 * names.length);
    const ticks = roundTicks(axis.low, axis.high, 5);
    const left = Math.max(TREE.left, 8 + widestOf(svg, ticks.map(([, text]) => text)));
    const [top, bottom] = [TREE.top, height - TREE.bottom];
    const along = scale(table.logs[0], table.logs.at(-1), left + 8, right - 8);
    const toX = (beta) => along(Math.log10(beta));
    const toY = scale(axis.low, axis.high, bottom - 10, top + 10);
    const labels = spread(axis.heights.map(toY), 13, top, bottom);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.style.height = `${height}px`;
    const branch = ({ points, width: thick, shade }) => {
      const d = path(points.map(([place, h]) => [along(table.logs[place]), toY(h)]));
      return make("path", { d, class: "lr-branch", stroke: blend(facts, shade), "stroke-width": thick });
    };
    ground.replaceChildren(
      ...ticks.flatMap(([h, text]) => [
        make("line", { class: "lr-grid", x1: left, x2: right, y1: toY(h), y2: toY(h) }),
        say(left - 6, toY(h) + 4, text, { "text-anchor": "end", "data-tick": h }),
      ]),
      ...table.critical.map((beta) => make("line", { class: "lr-critical", "data-critical": beta, x1: toX(beta), x2: toX(beta), y1: top, y2: bottom })),
      ...criticalLabels(table, toX).map(([x, text]) => say(x, top - 8, text, { "text-anchor": "middle" })),
      make("line", { class: "lr-axis", x1: left, x2: right, y1: bottom, y2: bottom }),
      ...betaTicks(table, toX).flatMap((beta) => [
        make("line", { class: "lr-axis", x1: toX(beta), x2: toX(beta), y1: bottom, y2: bottom + 4 }),
        say(toX(beta), bottom + 17, String(beta), { "text-anchor": "middle", "data-beta-tick": beta }),
      ]),
      sayWithin(svg, (left + right) / 2, height - 4, ["β, the weight of what T keeps about Y (log scale)", "β (log scale)"], [0, width]),
      ...pieces(table, axis, facts.widest).map(branch),
      ...names.flatMap((name, x) => {
        const y = toY(axis.heights[x]);
        return [
          make("line", { class: "lr-lead", x1: right + 4, x2: right + 14, y1: y, y2: labels[x] }),
          make("line", { class: "lr-own", "data-object": x + 1, x1: right - 4, x2: right + 4, y1: y, y2: y, stroke: blend(facts, axis.share(axis.heights[x])) }),
          say(right + 17, labels[x] + 4, name),
        ];
      }),
    );
    at = { key: [table.title, axis.name, width].join("\n"), top, bottom, right, along, toY, back: scale(left + 8, right - 8, table.logs[0], table.logs.at(-1)) };
  };
  const show = (state) => {
    const { table, axis, width, place, clusters } = state;
    if (at?.key !== [table.title, axis.name, width].join("\n")) layout(state);
    const x = at.along(table.logs[place]);
    const labels = spread(clusters.map(({ height }) => at.toY(height)), 13, at.top, at.bottom);
    const side = x + 30 > at.right ? { dx: -9, "text-anchor": "end" } : { dx: 9 };
    front.replaceChildren(
      make("line", { class: "lr-cut", "data-cursor": true, x1: x, x2: x, y1: at.top - 4, y2: at.bottom }),
      ...clusters.map(({ height }, k) => make("circle", { class: "lr-dot", "data-cluster": k + 1, cx: x, cy: at.toY(height), r: 5, fill: blend(facts, axis.share(height)) })),
      ...clusters.map((_, k) => say(x, labels[k] + 4, String(k + 1), { ...side, class: "lr-strong lr-number" })),
    );
  };
  return { show, logBetaAt: (x) => at.back(x) };
}

/** The information plane: out of reach shaded, the curve, the point at β and its tangent of slope 1 / β. */
function drawPlane(svg, { table, place, id, facts }) {
  const width = Math.round(svg.parentNode.getBoundingClientRect().width);
  const height = Math.min(300, Math.max(220, Math.round(0.8 * width)));
  const [right, top, bottom] = [width - 10, 8, height - 40];
  const [most, wide] = [1.1 * Math.max(facts.least, table.most), Math.max(1.05 * facts.least, 1.05 * table.most, 1.05 * Math.max(...table.xt))];
  const upward = roundTicks(0, most, 5);
  const left = Math.max(UPWARD, 8 + widestOf(svg, upward.map(([, text]) => text)));
  const [toX, toY] = [scale(0, wide, left, right), scale(0, most, bottom, top)];
  const [x, y] = [table.xt[place], table.ty[place]];
  const line = (share) => [toX(share), toY(y + (share - x) / table.betas[place])];
  const shade = [[0, 0], [table.most, table.most], [wide, table.most], [wide, most], [0, most]];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  const parts = [
    make("clipPath", { id: `${id}-plane` }, make("rect", { x: left, y: top, width: right - left, height: bottom - top })),
    make("path", { class: "lr-barred", d: `${path(shade.map(([a, b]) => [toX(a), toY(b)]))}Z` }),
    ...roundTicks(0, wide, width < 300 ? 4 : 5).flatMap(([value, text]) => [
      make("line", { class: "lr-grid", x1: toX(value), x2: toX(value), y1: top, y2: bottom }),
      say(toX(value), bottom + 16, text, { "text-anchor": "middle", "data-x-tick": value }),
    ]),
    ...upward.flatMap(([value, text]) => [
      make("line", { class: "lr-grid", x1: left, x2: right, y1: toY(value), y2: toY(value) }),
      say(left - 6, toY(value) + 4, text, { "text-anchor": "end", "data-y-tick": value }),
    ]),
    make("line", { class: "lr-axis", x1: left, x2: right, y1: bottom, y2: bottom }),
    make("line", { class: "lr-axis", x1: left, x2: left, y1: top, y2: bottom }),
    say((left + right) / 2, height - 4, "I(X;T), nats", { "text-anchor": "middle" }),
    make("g", { "clip-path": `url(#${id}-plane)` }, make("path", { class: "lr-tangent", d: path([line(0), line(wide)]) })),
    make("path", { class: "lr-line lr-curve", d: path(table.xt.map((value, i) => [toX(value), toY(table.ty[i])])) }),
    make("circle", { class: "lr-dot lr-here", "data-here": true, cx: toX(x), cy: toY(y), r: 6 }),
    table.most > facts.least && say(left + 5, toY(table.most) - 4, `I(X;Y) = ${table.most.toFixed(3)}`), // left: tangents reach this height further right
  ];
  svg.replaceChildren(...parts.filter(Boolean));
}

/** The encoder: a row for each object, from the top of the tree to its bottom, and a column for each cluster. */
function drawEncoder(svg, { table, axis, clusters, facts }) {
  const width = Math.round(svg.parentNode.getBoundingClientRect().width);
  const names = objectLabels(table.names, width < 380 ? 11 : 15);
  const left = 10 + widestOf(svg, names);
  const row = names.length > 14 ? 16 : 22;
  const cell = Math.min(84, (width - left - 2) / clusters.length);
  const order = axis.heights.map((_, x) => x).sort((a, b) => axis.heights[b] - axis.heights[a] || a - b);
  const height = 22 + row * order.length + 2;
  const column = (k) => left + (k + 0.5) * cell;
  const labelled = (k) => cell >= 16 || k % 2 === 0;
  const drawn = ({ encoder, height: h }, k, x, i) => {
    const q = encoder[x];
    const box = { x: left + k * cell, y: 22 + i * row, width: Math.max(1, cell - 1), height: row - 1 };
    const rect = make("rect", { ...box, class: "lr-cell", fill: blend(facts, axis.share(h)), "fill-opacity": (0.62 * q).toFixed(3), "data-cell": `${x + 1} ${k + 1}`, "data-q": q });
    const text = q >= 0.05 && cell >= 30 ? say(column(k), 22 + i * row + row / 2 + 3.5, q.toFixed(2), { "text-anchor": "middle", class: "lr-q" }) : null;
    return [rect, text].filter(Boolean);
  };
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.replaceChildren(
    ...clusters.flatMap((_, k) => (labelled(k) ? [say(column(k), 14, String(k + 1), { "text-anchor": "middle", class: "lr-strong" })] : [])),
    ...order.flatMap((x, i) => [
      say(left - 6, 22 + i * row + row / 2 + 3.5, names[x], { "text-anchor": "end" }),
      ...clusters.flatMap((cluster, k) => drawn(cluster, k, x, i)),
    ]),
  );
}
