// Singular values of J_l = dp_l/dx = W_l diag(phi') ... W_1, exact up to rounding, at every one of some inputs.
// They are roots of eigenvalues of J J^T or J^T J, whichever is smaller: below about 1e-8 sigma_1 lies rounding.

import { eigenvalues, scaleDown } from "./eigen.js";
import { gram, times, transposedGram, transposedTimes } from "./tensor.js";

/** The singular values of a (rows, columns), descending, min(rows, columns) of them. */
export function singularValues(a, rows, columns) {
  const near1 = a.slice(0, rows * columns); // so that squares neither overflow nor vanish
  const scale = scaleDown(near1, rows * columns);
  const small = Math.min(rows, columns);
  const squares = new Float64Array(small * small);
  if (rows <= columns) gram(near1, squares, rows, columns);
  else transposedGram(near1, squares, rows, columns);
  return eigenvalues(squares, small).map((value) => scale * Math.sqrt(Math.max(0, value)));
}

/** W_1 A, with A (d, r): the first factor of every J_l A. Without A it is W_1. */
export function firstFactor(network, inputFactor, r) {
  const [d, width] = network.widths;
  return inputFactor ? times(network.weights[0], inputFactor, new Float64Array(width * r), width, d, r) : network.weights[0];
}

/** J_{l+1} A, into `made`, from J_l A (n_l, r) at input number i; units that are off are left out. */
function link(network, l, before, i, r, made, room) {
  const from = network.widths[l];
  const to = network.widths[l + 1];
  const weight = network.weights[l];
  let on = 0;
  for (let j = 0; j < from; j += 1) {
    const at = i * from + j;
    const slope = network.phi.slope(network.p[l - 1][at], network.h[l - 1][at]);
    if (slope === 0) continue;
    for (let k = 0; k < to; k += 1) room.columns[on * to + k] = slope * weight[k * from + j];
    for (let k = 0; k < r; k += 1) room.rows[on * r + k] = before[j * r + k];
    on += 1;
  }
  return transposedTimes(room.columns, room.rows, made, on, to, r);
}

/**
 * Singular values of J_l A at the first n inputs of the network's last forward, for the layers of this list (0 is L1):
 * one Float64Array (n, min(n_l, r)) each, its rows descending. `first` is firstFactor(...), (n_1, r).
 */
export function spectra(network, n, first, r, layers) {
  const made = layers.map((l) => new Float64Array(n * Math.min(network.widths[l + 1], r)));
  const deepest = Math.max(...layers);
  const widest = Math.max(...network.widths);
  const memory = (columns) => new Float64Array(widest * columns);
  const room = { columns: memory(widest), rows: memory(r), jacobians: [memory(r), memory(r)] };
  for (let i = 0; i < n; i += 1) {
    let jacobian = first;
    for (let l = 0; l <= deepest; l += 1) {
      if (l) jacobian = link(network, l, jacobian, i, r, room.jacobians[l % 2], room);
      const at = layers.indexOf(l);
      if (at < 0) continue;
      const k = Math.min(network.widths[l + 1], r);
      if (l > 0 || i === 0) made[at].set(singularValues(jacobian, network.widths[l + 1], r), i * k);
      else made[at].copyWithin(i * k, 0, k); // J_1 is W_1, whatever the input
    }
  }
  return made;
}
