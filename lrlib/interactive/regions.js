// The linear regions of a ReLU network on the plane, and what its Jacobians do there; regions.py is the twin.
// A network is a list of layers, a layer a list of rows, a row a unit's incoming weights with its bias last. On a
// piece of the plane every layer is affine, a list of rows [a, b, c]: a x + b y + c.

const SLIVER = 1e-10; // a cut that would leave less than this share of the square is not made
const IDENTITY = [[1, 0, 0], [0, 1, 0]];

function value([a, b, c], [x, y]) {
  return a * x + b * y + c;
}

/** The pre-activations W h + b of a layer, where h is affine. */
function through(rows, h) {
  return rows.map((row) => [0, 1, 2].map((k) => h.reduce((sum, entry, j) => sum + row[j] * entry[k], k === 2 ? row.at(-1) : 0)));
}

/** Area and centre of mass of a convex polygon, from its first corner, so that small ones keep their digits. */
function massOf(polygon) {
  const [x0, y0] = polygon[0];
  let [twice, x, y] = [0, 0, 0];
  for (let i = 1; i + 1 < polygon.length; i += 1) {
    const [a, b, c, d] = [polygon[i][0] - x0, polygon[i][1] - y0, polygon[i + 1][0] - x0, polygon[i + 1][1] - y0];
    const cross = a * d - b * c;
    twice += cross;
    x += cross * (a + c);
    y += cross * (b + d);
  }
  return { area: twice / 2, centre: [x0 + x / (3 * twice), y0 + y / (3 * twice)] };
}

/** Where an affine function is 0 on the way from one corner to another, at which its values have two signs. */
function crossing(here, there, from, to) {
  const share = from / (from - to);
  return [here[0] + share * (there[0] - here[0]), here[1] + share * (there[1] - here[1])];
}

/** The part of a convex polygon on which an affine function, of these values at its corners, is >= 0. */
function half(polygon, values) {
  return polygon.flatMap((corner, i) => {
    const j = (i + 1) % polygon.length;
    const kept = values[i] >= 0 ? [corner] : [];
    if (Math.sign(values[i]) * Math.sign(values[j]) < 0) kept.push(crossing(corner, polygon[j], values[i], values[j]));
    return kept;
  });
}

/** Cut a polygon along the zero line of an affine row: its parts, and whether the row is above 0 on them. */
function cut(polygon, row, least) {
  const values = polygon.map((corner) => value(row, corner));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (high <= 0 || low >= 0) return [{ polygon, above: high > 0 }];
  const parts = [1, -1].map((sign) => ({ polygon: half(polygon, values.map((v) => sign * v)), above: sign > 0 }));
  const [on, off] = parts.map((part) => massOf(part.polygon).area);
  return Math.min(on, off) < least ? [{ polygon, above: on > off }] : parts;
}

function squareOf(extent) {
  return [[-extent, -extent], [extent, -extent], [extent, extent], [-extent, extent]];
}

/** The regions of the last of these layers on the square [-extent, extent]^2: { polygon, p }, p affine. */
function linearRegions(layers, extent) {
  let pieces = [{ polygon: squareOf(extent), h: IDENTITY }];
  const least = SLIVER * (2 * extent) ** 2;
  for (const rows of layers.slice(0, -1)) {
    pieces = pieces.flatMap(({ polygon, h }) => {
      let parts = [{ polygon, h: [] }];
      for (const row of through(rows, h)) {
        parts = parts.flatMap((part) =>
          cut(part.polygon, row, least).map((piece) => ({
            polygon: piece.polygon,
            h: [...part.h, piece.above ? row : [0, 0, 0]],
          })),
        );
      }
      return parts;
    });
  }
  return pieces.map(({ polygon, h }) => ({ polygon, p: through(layers.at(-1), h) }));
}

/** The last of these layers as an affine map around a point: what is above 0 there is on. */
function affineAt(layers, point) {
  return layers.reduce((h, rows, l) => {
    const on = l ? h.map((row) => (value(row, point) > 0 ? row : [0, 0, 0])) : h;
    return through(rows, on);
  }, IDENTITY);
}

/**
 * The singular values of the Jacobian [a b] of affine rows, descending, min(n, 2) of them, and the angle of the
 * input direction that the first one stretches. QR by Gram-Schmidt, then the closed form of a 2 x 2 triangle:
 * sums of hypotenuses for the first and the determinant over it for the second, so that nothing cancels.
 */
function singularOf(rows) {
  const column = (k) => rows.map((row) => row[k]);
  const lengths = [0, 1].map((k) => Math.hypot(...column(k)));
  const first = lengths[0] >= lengths[1] ? 0 : 1; // the longer column first
  const [a, b, r] = [column(first), column(1 - first), lengths[first]];
  if (r === 0) return { sigma: rows.length > 1 ? [0, 0] : [0], angle: 0 };
  const along = a.reduce((sum, entry, i) => sum + (entry / r) * b[i], 0);
  const rest = Math.hypot(...a.map((entry, i) => b[i] - (entry / r) * along));
  const top = (Math.hypot(r + rest, along) + Math.hypot(r - rest, along)) / 2;
  const turn = Math.atan2(2 * r * along, r * r - along * along - rest * rest) / 2; // from the longer column's axis
  return {
    sigma: rows.length > 1 ? [top, (r / top) * rest] : [top],
    angle: first ? Math.PI / 2 - turn : turn,
  };
}

/** How many singular values lie strictly above the threshold. */
function rankAbove(sigma, eps, relative) {
  return sigma.filter((s) => s > (relative ? eps * sigma[0] : eps)).length;
}

/** A first-layer row as its line: angle of the weights, the line's distance from 0 along them, their norm. */
function lineOf([a, b, bias]) {
  const strength = Math.hypot(a, b);
  return strength === 0 ? null : { angle: Math.atan2(b, a), offset: -bias / strength, strength };
}

function rowOf({ angle, offset, strength }) {
  return [strength * Math.cos(angle), strength * Math.sin(angle), -strength * offset];
}

/** A first-layer row with its line moved and its weights as they are. */
function shifted([a, b], offset) {
  return [a, b, -Math.hypot(a, b) * offset];
}

/** The two ends, in the square, of the line on which an affine row is 0; null if there are none. */
function segmentOf(row, extent) {
  const corners = squareOf(extent);
  const values = corners.map((corner) => value(row, corner));
  const ends = corners.flatMap((corner, i) => {
    const j = (i + 1) % 4;
    return values[i] >= 0 === values[j] >= 0 ? [] : [crossing(corner, corners[j], values[i], values[j])];
  });
  return ends.length ? ends : null;
}
