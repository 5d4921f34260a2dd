// What the playground shows besides curves: a layer's features in the plane, and a plane of inputs coloured by rank.

import { eigenvectors } from "./eigen.js";
import { firstFactor, spectra } from "./jacobian.js";
import { rankOf } from "./reading.js";
import { momentsOf } from "./training.js";

const MARGIN = 1.12; // the plane reaches so much farther than the points

/** Rows (n, d), less their mean, along two axes (2, d): (n, 2). */
function projected(x, n, d, mean, axes) {
  const made = new Float32Array(2 * n);
  for (let i = 0; i < n; i += 1) {
    for (let a = 0; a < 2; a += 1) {
      let sum = 0;
      for (let j = 0; j < d; j += 1) sum += (x[i * d + j] - mean[j]) * axes[a * d + j];
      made[2 * i + a] = sum;
    }
  }
  return made;
}

/** The signs of principal axes are nobody's choice: keep those of the axes before, so that the picture does not flip. */
function keepSigns(axes, d, before) {
  if (before?.length !== axes.length) return axes;
  for (let a = 0; a < 2; a += 1) {
    let dot = 0;
    for (let j = 0; j < d; j += 1) dot += axes[a * d + j] * before[a * d + j];
    if (dot < 0) for (let j = 0; j < d; j += 1) axes[a * d + j] *= -1;
  }
  return axes;
}

/** p_l of the training inputs, projected on its own two principal directions, and the share of variance they hold. */
export function featurePlane(training, l, axesBefore) {
  const { network, train } = training;
  network.forward(train.x, train.n);
  const [p, d] = [network.p[l], network.widths[l + 1]];
  const { mean, covariance } = momentsOf(p, train.n, d);
  let total = 0;
  for (let j = 0; j < d; j += 1) total += covariance[j * d + j];
  const { values, vectors } = eigenvectors(covariance, d);
  const axes = keepSigns(vectors.slice(0, 2 * d), d, axesBefore);
  return { layer: l, points: projected(p, train.n, d, mean, axes), share: total > 0 ? (values[0] + values[1]) / total : 0, axes };
}

/** A plane of inputs: the plane itself in two dimensions, else the one of the data's two principal directions. */
export class InputPlane {
  constructor(training) {
    const { train, moments } = training;
    const d = train.inputs;
    this.training = training;
    this.flat = d === 2;
    this.mean = this.flat ? new Float64Array(2) : moments.mean;
    this.axes = this.flat ? Float64Array.of(1, 0, 0, 1) : eigenvectors(moments.covariance.slice(), d).vectors.slice(0, 2 * d);
    this.points = projected(train.x, train.n, d, this.mean, this.axes);
    this.extent = MARGIN * this.points.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    this.picture = null; // the one being painted
  }

  /** Start a picture of the network as it is now. */
  begin({ layer, reading, eps, resolution }) {
    const { network, inputFactor, train, step } = this.training;
    const copy = network.copy();
    const cells = resolution * resolution;
    this.first = firstFactor(copy, reading === "data-scaled" ? inputFactor : null, train.inputs);
    this.network = copy;
    this.row = 0;
    this.picture = {
      view: { layer, reading, eps, resolution },
      step,
      extent: this.extent,
      flat: this.flat,
      pieces: Boolean(copy.phi.linearPieces),
      ranks: new Float32Array(cells),
      classes: new Uint8Array(cells),
      patterns: new Uint32Array(cells),
    };
  }

  /** Paint rows until `deadline`, in ms of performance.now(); returns whether the picture is complete. */
  paint(deadline) {
    const { resolution } = this.picture.view;
    while (this.row < resolution && performance.now() < deadline) {
      this.paintRow();
      this.row += 1;
    }
    return this.row === resolution;
  }

  paintRow() {
    const { network, picture, row, mean, axes } = this;
    const { layer, reading, eps, resolution } = picture.view;
    const [d, outputs] = [network.widths[0], network.widths.at(-1)];
    const place = (i) => this.extent * ((2 * i + 1) / resolution - 1);
    const x = new Float64Array(resolution * d);
    for (let i = 0; i < resolution; i += 1) {
      for (let j = 0; j < d; j += 1) x[i * d + j] = mean[j] + place(i) * axes[j] - place(row) * axes[d + j];
    }
    const out = network.forward(x, resolution);
    const [values] = spectra(network, resolution, this.first, d, [layer]);
    const k = values.length / resolution;
    for (let i = 0; i < resolution; i += 1) {
      const cell = row * resolution + i;
      picture.ranks[cell] = rankOf(values, i * k, k, reading, eps);
      let best = 0;
      for (let j = 1; j < outputs; j += 1) if (out[i * outputs + j] > out[i * outputs + best]) best = j;
      picture.classes[cell] = best;
      picture.patterns[cell] = this.pattern(i, layer);
    }
  }

  /** A number for the pieces on which the units below p_layer lie: cells of two regions have two (but for chance). */
  pattern(i, layer) {
    const { network } = this;
    if (!network.phi.linearPieces) return 0;
    let hash = 2166136261;
    for (let l = 0; l < layer; l += 1) {
      const width = network.widths[l + 1];
      for (let j = 0; j < width; j += 1) hash = Math.imul(hash ^ (network.p[l][i * width + j] > 0 ? 2 * j + 1 : 0), 16777619);
    }
    return hash >>> 0;
  }
}
