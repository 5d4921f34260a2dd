// A multilayer perceptron, as lrlib.nets.MLP: p_l = W_l h_{l-1} + b_l, h_l = phi(p_l), and no phi after the last.

import { times, timesTransposed, transposedTimes } from "./tensor.js";

const sigmoid = (p) => 1 / (1 + Math.exp(-p));
const SOFTPLUS_LINEAR = 20; // from here on torch's softplus is the identity

/** phi(p), and phi' from p and h = phi(p), by name; at a kink the slope is autograd's. NaN stays NaN. */
export const ACTIVATIONS = {
  relu: { value: (p) => (p < 0 ? 0 : p), slope: (p) => (p > 0 ? 1 : 0), linearPieces: true },
  leaky_relu: { value: (p) => (p > 0 ? p : 0.01 * p), slope: (p) => (p > 0 ? 1 : 0.01), linearPieces: true },
  tanh: { value: Math.tanh, slope: (p, h) => 1 - h * h },
  softplus: {
    value: (p) => (p > SOFTPLUS_LINEAR ? p : Math.log1p(Math.exp(p))),
    slope: (p) => (p > SOFTPLUS_LINEAR ? 1 : sigmoid(p)),
  },
  silu: {
    value: (p) => p * sigmoid(p),
    slope: (p, h) => {
      const s = sigmoid(p);
      return s + h * (1 - s);
    },
  },
  elu: { value: (p) => (p > 0 ? p : Math.expm1(p)), slope: (p) => (p > 0 ? 1 : Math.exp(p)) },
  identity: { value: (p) => p, slope: () => 1 },
};

export class Network {
  /** Layers with the weights given, each (n_l, n_{l-1}) row by row, and biases. */
  constructor(widths, activation, weights, biases) {
    this.widths = widths;
    this.activation = activation;
    this.phi = ACTIVATIONS[activation];
    this.weights = weights;
    this.biases = biases;
    this.room = 0; // for how many inputs there is memory
  }

  /** He's start times `scale`, as MLP(widths, init="he", scale=scale, generator=generator). */
  static start(widths, activation, scale, generator) {
    const layers = Array.from(widths.keys()).slice(1);
    const draw = (l) => {
      const deviation = Math.sqrt(2 / widths[l - 1]);
      return generator.normal(widths[l] * widths[l - 1]).map((z) => z * deviation * scale);
    };
    return new Network(widths, activation, layers.map(draw), layers.map((l) => new Float64Array(widths[l])));
  }

  get depth() {
    return this.weights.length;
  }

  copy() {
    const copied = (arrays) => arrays.map((array) => array.slice());
    return new Network(this.widths, this.activation, copied(this.weights), copied(this.biases));
  }

  /** Memory for what depends on the inputs: p_l, h_l, and what comes back through them. */
  makeRoom(n) {
    if (n <= this.room) return;
    const perLayer = () => this.widths.slice(1).map((width) => new Float64Array(n * width));
    [this.p, this.h, this.back] = [perLayer(), perLayer(), perLayer()];
    this.room = n;
  }

  /** All p_l and h_l of n inputs (n, d); returns the outputs, p_L, which the next call overwrites. */
  forward(x, n) {
    this.makeRoom(n);
    this.weights.forEach((weight, l) => {
      const [fanIn, fanOut] = [this.widths[l], this.widths[l + 1]];
      const p = timesTransposed(l ? this.h[l - 1] : x, weight, this.p[l], n, fanIn, fanOut);
      const bias = this.biases[l];
      for (let i = 0; i < n * fanOut; i += fanOut) for (let j = 0; j < fanOut; j += 1) p[i + j] += bias[j];
      if (l + 1 === this.depth) return;
      const { value } = this.phi;
      const h = this.h[l];
      for (let i = 0; i < n * fanOut; i += 1) h[i] = value(p[i]);
    });
    return this.p.at(-1);
  }

  /** From dloss/dp_L (n, n_L), at the inputs of the last forward: the gradients, written into these arrays. */
  backward(x, n, outputGradient, weightGradients, biasGradients) {
    this.back[this.depth - 1].set(outputGradient.subarray(0, n * this.widths.at(-1)));
    for (let l = this.depth - 1; l >= 0; l -= 1) {
      const [fanIn, fanOut] = [this.widths[l], this.widths[l + 1]];
      const back = this.back[l];
      transposedTimes(back, l ? this.h[l - 1] : x, weightGradients[l], n, fanOut, fanIn);
      const sums = biasGradients[l].fill(0);
      for (let i = 0; i < n * fanOut; i += fanOut) for (let j = 0; j < fanOut; j += 1) sums[j] += back[i + j];
      if (l === 0) break;
      const below = times(back, this.weights[l], this.back[l - 1], n, fanOut, fanIn);
      const { slope } = this.phi;
      const p = this.p[l - 1];
      const h = this.h[l - 1];
      for (let i = 0; i < n * fanIn; i += 1) below[i] *= slope(p[i], h[i]);
    }
  }
}
