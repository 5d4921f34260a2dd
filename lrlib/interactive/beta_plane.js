// What BetaDial knows of its models, and the plane of a code of two numbers: the regions of the linear decoder, which
// are computed here from its weights, and where the images lie.

/** What Python sent. `summary` is a reading over seeds, or null; `spectrum` a list of them; `images` those of a plane. */
async function readModels(model) {
  const facts = model.get("facts");
  const [bits, lineBits, places] = await Promise.all([unpack(model, "numbers", Uint32Array), unpack(model, "lines", Uint32Array), unpack(model, "points", Uint16Array)]);
  const [numbers, lines] = [bits, lineBits].map(({ buffer }) => new Float32Array(buffer));
  const [S, R] = [facts.seeds.length, facts.columns.length];
  const Q = R + facts.network.length;
  const over = (found) => {
    const values = found.filter((value) => !Number.isNaN(value));
    if (!values.length) return null;
    return { values, mean: values.reduce((sum, v) => sum + v, 0) / values.length, low: Math.min(...values), high: Math.max(...values) };
  };
  const summary = (b, q, seeds) => over(seeds.map((s) => numbers[(b * S + s) * Q + q]));
  const network = (b, name, seeds) => summary(b, R + facts.network.indexOf(name), seeds);
  let from = 0;
  const starts = facts.spectra.map((kind) => {
    const start = from;
    from += facts.betas.length * S * kind.places.length;
    return start;
  });
  const spectrum = (k, b, seeds) => {
    const P = facts.spectra[k].places.length;
    return facts.spectra[k].places.map((_, p) => over(seeds.map((s) => lines[starts[k] + (b * S + s) * P + p])));
  };
  let at = 0;
  const images = facts.planes.map((plane) => {
    if (!plane) return [];
    const { count, half } = plane;
    const place = (code) => half * ((2 * code) / facts.frame - 1);
    const own = Array.from({ length: count }, (_, i) => {
      const [x, y, code] = [0, 1, 2].map((part) => places[at + part * count + i]);
      return { x: place(x), y: place(y), c: code >> 1, wrong: code % 2 === 1 };
    });
    at += 3 * count;
    return own;
  });
  return { facts, summary, network, spectrum, images };
}

/** β as it is written in words: without a row of zeros. */
function betaWords(beta) {
  return beta >= 1e-4 ? String(beta) : beta.toExponential().replace("-", "\u2212");
}

/** What is chosen now, as places in what Python sent. */
function settingsOf({ facts }, model) {
  const nearestLog = nearest(facts.betas.map(Math.log), Math.log(model.get("beta")));
  const seed = model.get("seed");
  const s = facts.seeds.indexOf(seed);
  const wanted = model.get("readings");
  const isOn = ({ reading, eps }) => wanted.some(([name, level]) => name === reading && level === eps);
  return {
    b: nearestLog,
    beta: betaWords(facts.betas[nearestLog]),
    s,
    seeds: s < 0 ? facts.seeds.map((_, i) => i) : [s],
    k: Math.max(0, facts.spectra.findIndex(({ name }) => name === model.get("spectrum"))),
    on: facts.columns.flatMap((column, q) => (isOn(column) ? [q] : [])),
    against: model.get("against"),
  };
}

/** The part of a convex polygon where a x + b y + c >= 0 (Sutherland & Hodgman 1974). */
function cutOff(polygon, [a, b, c]) {
  const height = ([x, y]) => a * x + b * y + c;
  return polygon.flatMap((point, i) => {
    const next = polygon[(i + 1) % polygon.length];
    const [here, there] = [height(point), height(next)];
    const kept = here >= 0 ? [point] : [];
    if (here >= 0 === there >= 0) return kept;
    const share = here / (here - there);
    return [...kept, point.map((value, axis) => value + share * (next[axis] - value))];
  });
}

/** Where each class has the largest w·z + b, in the square from -half to half: a convex polygon, or nothing. */
function regionsOf(decoder, half) {
  const square = [[-half, -half], [half, -half], [half, half], [-half, half]];
  return decoder.map((own, c) =>
    decoder.reduce((polygon, other, d) => {
      const plane = own.map((value, axis) => value - other[axis]);
      if (d === c || (d > c && plane.every((value) => value === 0))) return polygon; // of equals the first counts
      return plane.every((value) => value === 0) ? [] : cutOff(polygon, plane);
    }, square),
  );
}

/** Area and centre of a polygon. */
function centreOf(polygon) {
  let [area, x, y] = [0, 0, 0];
  polygon.forEach(([px, py], i) => {
    const [qx, qy] = polygon[(i + 1) % polygon.length];
    const twice = px * qy - qx * py;
    area += twice / 2;
    x += ((px + qx) * twice) / 6;
    y += ((py + qy) * twice) / 6;
  });
  return { area: Math.abs(area), centre: area ? [x / area, y / area] : polygon[0] };
}

function classColour(facts, c) {
  return `--lr-class: ${facts.classColours[c % facts.classColours.length]}`;
}

/** Round numbers on both sides of 0, two or three to each side. */
function planeTicks(half) {
  const size = 10 ** Math.floor(Math.log10(half / 2));
  const stride = size * [1, 2, 5, 10].find((n) => half / (n * size) <= 3.2);
  const count = Math.floor(half / stride);
  return Array.from({ length: 2 * count + 1 }, (_, i) => Number(((i - count) * stride).toPrecision(3)));
}

/** The plane of the code at beta number b, drawn anew. */
function drawPlane(svg, { models: { facts, images }, b, width, id }) {
  const plane = facts.planes[b];
  const [left, top] = [34, 6];
  const side = Math.min(width - left - 6, 420);
  sized(svg, left + side + 6, top + side + 22);
  svg.style.width = `${left + side + 6}px`;
  const { half } = plane;
  const toX = scale(-half, half, left, left + side);
  const toY = scale(-half, half, top + side, top);
  const at = ([x, y]) => [toX(x), toY(y)];
  const reach = side / (2 * half); // pixels of one unit
  const shown = regionsOf(plane.decoder, half).map((polygon, c) => ({ polygon, c })).filter(({ polygon }) => polygon.length > 2);
  const bottom = top + side;
  svg.replaceChildren(
    ...shown.map(({ polygon, c }) => make("path", { class: "lr-territory", style: classColour(facts, c), "data-region": c, d: `${path(polygon.map(at))}Z` })),
    make("circle", { class: "lr-marginal", cx: toX(0), cy: toY(0), r: reach }),
    make("clipPath", { id: `${id}-plane` }, make("rect", { x: left, y: top, width: side, height: side })),
    make("g", { "clip-path": `url(#${id}-plane)` }, plane.ellipses.map(([c, x, y, sx, sy]) => make("ellipse", { class: "lr-noise", style: classColour(facts, c), "data-ellipse": c, cx: toX(x), cy: toY(y), rx: reach * sx, ry: reach * sy }))),
    ...shown.map(({ polygon, c }) => {
      const { area, centre: [x, y] } = centreOf(polygon.map(at));
      return area < 900 ? null : say(x, y + 9, String(c), { class: "lr-territory-name", style: classColour(facts, c), "text-anchor": "middle" });
    }).filter(Boolean),
    make("g", { class: "lr-glyphs" }, images[b].map(({ x, y, c, wrong }) =>
      say(toX(x), toY(y) + 4, String(c), { style: classColour(facts, c), class: wrong ? "lr-wrong" : null, "text-anchor": "middle" }))),
    make("rect", { class: "lr-frame", x: left, y: top, width: side, height: side }),
    ...planeTicks(half).flatMap((value) => {
      const text = String(value).replace("-", "\u2212");
      return [
        say(toX(value), bottom + 16, text, { "text-anchor": "middle", "data-x-tick": value }),
        say(left - 5, toY(value) + 4, text, { "text-anchor": "end", "data-y-tick": value }),
      ];
    }),
  );
}
