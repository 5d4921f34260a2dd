// The four views of BottleneckDial. Each draws everything anew: there are few lines.

const FINE = 120; // points of a curve over β
const BEND = 0.3; // the σ axis is linear below this, and logarithmic above
const TOP = 900; // of the σ axis: ρ = 0.999 reaches 707 at β = 1000
const SIGMA_TICKS = [0, 0.3, 1, 3, 10, 30, 100, 300];
const toBent = (sigma) => Math.asinh(sigma / BEND);

/** Where things stand in both plots over β. */
function betaFrame(facts, width) {
  const [left, right] = [36, width - 34];
  const last = Math.log10(facts.betas.at(-1));
  const along = scale(0, last, left, right);
  const ticks = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
  return { left, right, ticks, last: 10 ** last, toX: (beta) => along(Math.log10(beta)), toLog: scale(left, right, 0, last) };
}

/** β from a direction's critical one on, close together at first: there σ rises as a square root. */
function rise(critical, last) {
  return Array.from({ length: FINE + 1 }, (_, j) => critical * (last / critical) ** ((j / FINE) ** 2));
}

/** Directions of which the same is true, under one name: [value, "β₁,₂"]. */
function grouped(rows, valueOf, letter) {
  const groups = new Map();
  rows.forEach((row, i) => groups.set(valueOf(row), [...(groups.get(valueOf(row)) ?? []), subscript(i + 1)]));
  return [...groups].map(([value, numbers]) => [value, `${letter}${numbers.join(",")}`]);
}

/** The lines behind a plot over β, the critical ones among them, and the cursor. */
function backdrop({ left, right, ticks: betas, toX, last }, { top, bottom, ticks, toY, rows, beta }) {
  const critical = [...new Set(rows.map((row) => row.critical))].filter((value) => value <= last);
  return [
    ...betas.map((value) => make("line", { class: "lr-grid", x1: toX(value), x2: toX(value), y1: top, y2: bottom })),
    ...ticks.flatMap((value) => [
      make("line", { class: "lr-grid", x1: left, x2: right, y1: toY(value), y2: toY(value) }),
      say(left - 6, toY(value) + 4, String(value), { "text-anchor": "end" }),
    ]),
    make("line", { class: "lr-axis", x1: left, x2: right, y1: bottom, y2: bottom }),
    ...critical.map((value) => make("line", { class: "lr-critical", x1: toX(value), x2: toX(value), y1: top, y2: bottom })),
    make("line", { class: "lr-cut", x1: toX(beta), x2: toX(beta), y1: top - 4, y2: bottom }),
  ];
}

function resize(svg, width, height) {
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
}

/** σ of every direction against β, and the threshold. Returns how to read a place: its log10 β, its share as ε. */
function drawSigmas(svg, grip, { facts, found, chosen, width, height }) {
  const places = betaFrame(facts, width);
  const { left, right, toX, last } = places;
  const [top, bottom] = [26, height - 6];
  const bent = scale(0, toBent(TOP), bottom, top);
  const toY = (sigma) => bent(toBent(sigma));
  const { rows } = found;
  const sigmaAt = (row, beta) => Math.sqrt(gainAt(row, beta));
  const ends = rows.map((row) => toY(sigmaAt(row, last)));
  const labels = spread(ends, 14, top, bottom);
  const drawn = rows.map(({ critical }) => critical < last);
  const line = (row, i) => [[left, bottom], ...rise(row.critical, last).map((beta) => [toX(beta), toY(sigmaAt(row, beta))]), [right, ends[i]]];
  // a relative threshold rises with the largest singular value, from where that one does
  const first = Math.min(...rows.map(({ critical }) => critical));
  const bends = chosen.relative && first < last ? rise(first, last) : [];
  const cut = [1, ...bends, last].map((beta) => [toX(beta), toY(Math.min(TOP, found.threshold(beta)))]);
  const marks = grouped(rows, ({ critical }) => critical, "β").filter(([critical]) => critical <= last).sort(([a], [b]) => a - b);
  const middles = spread(marks.map(([critical]) => toX(critical)), 22, left, right);
  resize(svg, width, height);
  svg.firstChild.replaceChildren(
    ...backdrop(places, { top, bottom, ticks: SIGMA_TICKS, toY, rows, beta: chosen.beta }),
    ...marks.map(([, text], i) => sayWithin(svg, middles[i], top - 10, [text], [0, width])),
    make("path", { class: "lr-eps", d: path(cut) }),
    chosen.relative
      ? say(right - 4, cut.at(-1)[1] + (cut.at(-1)[1] > bottom - 20 ? -16 : 20), "ε × largest", { "text-anchor": "end", class: "lr-clear" })
      : say(left + 4, cut[0][1] - 5, "ε", { class: "lr-clear" }),
    ...rows.flatMap((row, i) => [
      styledLine(facts, i, path(drawn[i] ? line(row, i) : [[left, bottom], [right, bottom]])),
      make("line", { class: "lr-lead", x1: right, y1: ends[i], x2: right + 10, y2: labels[i] }),
      say(right + 12, labels[i] + 4, `σ${subscript(i + 1)}`),
    ]),
    ...rows.map(({ sigma }, i) => make("circle", { cx: toX(chosen.beta), cy: toY(sigma), r: 4.5, fill: colourOf(facts, i), class: "lr-dot" })),
  );
  const [hold, knob] = grip.children;
  const end = cut.at(-1)[1];
  const start = chosen.relative ? right - 60 : left; // a line can be held anywhere, a curve at its end
  Object.entries({ x: start, y: end - 14, width: right - start, height: 28 }).forEach((pair) => hold.setAttribute(...pair));
  Object.entries({ cx: right - 16, cy: end }).forEach((pair) => knob.setAttribute(...pair));
  const back = scale(bottom, top, 0, toBent(TOP));
  const unit = found.threshold(last) / chosen.eps; // 1, or the largest singular value at the right end
  return { logAt: places.toLog, epsAt: (y) => (unit > 0 ? (BEND * Math.sinh(Math.max(0, back(y)))) / unit : chosen.eps) };
}

/** Stairs that rise by one at each of these β, from 1 to the last one. */
function stairs(steps, { toX, last }, toY) {
  const sorted = steps.filter((beta) => beta <= last).sort((a, b) => a - b);
  const up = sorted.flatMap((beta, k) => [[toX(beta), toY(k)], [toX(beta), toY(k + 1)]]);
  return path([[toX(1), toY(0)], ...up, [toX(last), toY(sorted.length)]]);
}

/** The exact rank and the count above the threshold against β; what lies between them is lateness. */
function drawStairs(svg, { facts, found, chosen, width, height }) {
  const places = betaFrame(facts, width);
  const { toX, last } = places;
  const { rows, rank, count } = found;
  const [top, bottom] = [10, height - 38];
  const toY = scale(0, rows.length, bottom, top);
  const ordered = rows.filter(({ critical }) => critical <= last).sort((a, b) => a.critical - b.critical);
  const late = ordered.map(({ critical, read }, k) => {
    const [x, y] = [toX(critical), toY(k + 1)];
    return make("rect", { class: "lr-late", x, y, width: Math.max(0, toX(Math.min(last, read)) - x), height: toY(k) - y });
  });
  resize(svg, width, height);
  svg.replaceChildren(
    ...backdrop(places, { top, bottom, ticks: rankTicks(rows.length), toY, rows, beta: chosen.beta }),
    ...places.ticks.flatMap((value) => [
      make("line", { class: "lr-axis", x1: toX(value), x2: toX(value), y1: bottom, y2: bottom + 4 }),
      say(toX(value), bottom + 17, String(value), { "text-anchor": "middle" }),
    ]),
    say((places.left + places.right) / 2, height - 4, "β (log scale)", { "text-anchor": "middle" }),
    ...late,
    make("path", { class: "lr-line lr-stairs", d: stairs(rows.map(({ critical }) => critical), places, toY) }),
    make("path", { class: "lr-line lr-counted", d: stairs(rows.map(({ read }) => read), places, toY) }),
    make("circle", { cx: toX(chosen.beta), cy: toY(rank), r: 6, class: "lr-dot lr-stairs-dot" }),
    make("circle", { cx: toX(chosen.beta), cy: toY(count), r: 3.5, class: "lr-counted-dot" }),
  );
}

/** About four round numbers from 0 to `most`. */
function roundTicks(most) {
  const size = 10 ** Math.floor(Math.log10(most / 4));
  const stride = size * [1, 2, 5, 10].find((n) => most / (n * size) <= 5);
  return Array.from({ length: Math.floor(most / stride + 1e-9) + 1 }, (_, i) => Number((i * stride).toPrecision(6)));
}

/** I(T;Y) against I(X;T) for all β, with the point of now. Returns x -> I(X;T) there. */
function drawInformation(svg, { facts, found, chosen, width, height }) {
  const { rows, most, informationAt } = found;
  const last = facts.betas.at(-1);
  const [left, right, top, bottom] = [44, width - 10, 10, height - 38];
  const [reach] = informationAt(last);
  const widest = 1.04 * reach || 1;
  const highest = most > 0 ? Math.max(0.01, 1.15 * most) : 1; // less than a hundredth of a nat is next to nothing
  const [toX, toY] = [scale(0, widest, left, right), scale(0, highest, bottom, top)];
  const at = (beta) => informationAt(beta).map((nats, k) => [toX, toY][k](nats));
  const betas = [...rows.flatMap(({ critical }) => (critical < last ? rise(critical, last) : [])), 1].sort((a, b) => a - b);
  const corner = Math.min(most, widest); // where the diagonal meets the line of I(X;Y)
  const beyond = [[left, bottom], [toX(corner), toY(corner)], ...(corner < most ? [] : [[right, toY(most)]]), [right, top], [left, top]];
  const marks = grouped(rows, ({ critical }) => critical, "β").filter(([critical]) => critical <= last);
  const [x, y] = at(chosen.beta);
  const [dx, dy] = [(right - left) / widest, (top - bottom) / highest / chosen.beta];
  const ahead = Math.min(30 / Math.hypot(dx, dy), (right - x) / dx, (y - top) / -dy); // and inside the plot
  const behind = Math.min(ahead, (x - left) / dx, (bottom - y) / -dy); // the tangent ends at the axes
  const named = []; // a label that would cover another is left out: the plot above has them all
  resize(svg, width, height);
  svg.replaceChildren(...[
    make("path", { class: "lr-beyond", d: path(beyond) }),
    ...roundTicks(highest).flatMap((nats) => [
      make("line", { class: "lr-grid", x1: left, x2: right, y1: toY(nats), y2: toY(nats) }),
      say(left - 6, toY(nats) + 4, String(nats), { "text-anchor": "end" }),
    ]),
    ...roundTicks(widest).flatMap((nats) => [
      make("line", { class: "lr-axis", x1: toX(nats), x2: toX(nats), y1: bottom, y2: bottom + 4 }),
      say(toX(nats), bottom + 17, String(nats), { "text-anchor": "middle" }),
    ]),
    make("line", { class: "lr-axis", x1: left, x2: right, y1: bottom, y2: bottom }),
    say((left + right) / 2, height - 4, "I(X;T), nats", { "text-anchor": "middle" }),
    say(left + 6, top + 14, "I(T;Y), nats"),
    say(right - 2, toY(most) - 5, `I(X;Y) = ${most.toFixed(3)}`, { "text-anchor": "end" }),
    make("path", { class: "lr-line lr-information", d: path(betas.map(at)) }),
    x > left && make("path", { class: "lr-tangent", d: path([[x - behind * dx, y - behind * dy], [x + ahead * dx, y + ahead * dy]]) }),
    ...marks.flatMap(([critical, text]) => {
      const [cx, cy] = at(critical);
      const half = 4 * text.length;
      const [tx, ty] = [Math.min(right - half, cx + 6 + half), Math.min(cy + 15, bottom - 5)];
      const clear = named.every(([px, py, other]) => Math.abs(px - tx) > half + other || Math.abs(py - ty) > 14);
      if (clear) named.push([tx, ty, half]);
      return [make("circle", { cx, cy, r: 3.5, class: "lr-step" }), clear && sayWithin(svg, tx, ty, [text], [left, right])];
    }),
    make("circle", { cx: x, cy: y, r: 5.5, class: "lr-dot lr-here" }),
  ].filter(Boolean));
  return scale(left, right, 0, widest);
}

/** What is unknown of two directions of X: before T the unit circle, after it an ellipse. One direction has bars. */
function drawEllipse(svg, { facts, found, pair, width }) {
  const size = Math.min(width, 260);
  const [middle, radius] = [size / 2, size / 2 - 26];
  const left = pair.map((i) => radius / Math.hypot(1, found.rows[i].sigma));
  const name = (i) => `x${subscript(i + 1)}`;
  const flat = pair.length === 1;
  const bar = (half, ink) => make("line", { class: ink, x1: middle - half, x2: middle + half, y1: middle, y2: middle });
  const axis = (x, y) => make("line", { class: "lr-grid", x1: middle - x, x2: middle + x, y1: middle - y, y2: middle + y });
  const ends = (half) => [-half, half].map((x) => make("line", { class: "lr-prior", x1: middle + x, x2: middle + x, y1: middle - 7, y2: middle + 7 }));
  svg.style.width = `${size}px`;
  resize(svg, size, flat ? 80 : size);
  if (flat) svg.setAttribute("viewBox", `0 ${middle - 40} ${size} 80`);
  svg.replaceChildren(
    axis(radius + 8, 0),
    ...(flat
      ? [bar(radius, "lr-prior"), ...ends(radius), bar(left[0], "lr-left-bar")]
      : [
          axis(0, radius + 8),
          make("circle", { class: "lr-prior", cx: middle, cy: middle, r: radius }),
          make("ellipse", { class: "lr-left", cx: middle, cy: middle, rx: left[0], ry: left[1] }),
          say(middle, 13, name(pair[1]), { "text-anchor": "middle" }),
        ]),
    say(middle + radius + 10, middle + 4, name(pair[0])),
  );
  return pair.map((i) => `${name(i)} ± ${(1 / Math.hypot(1, found.rows[i].sigma)).toFixed(3)}`);
}
