// Training, as lrlib.train.train does it: mini-batches in an order drawn anew each epoch, and SGD with heavy-ball
// momentum and weight decay that is added to the gradient. One seed means the same course in both, but for rounding.

import { dataOf } from "./data.js";
import { NotFinite, eigenvectors } from "./eigen.js";
import { firstFactor, spectra } from "./jacobian.js";
import { lossOf, scoreOf } from "./loss.js";
import { Network } from "./network.js";
import { Generator } from "./random.js";

export const PROBE = 64; // test inputs over which a local rank is a mean
const CHECKPOINTS = 60;

/** lrlib.train.log_steps(last, 60): 0, and about 60 steps from 1 to `last`, evenly spaced on a log axis. */
export function logSteps(last) {
  const place = (i) => Math.round(10 ** ((Math.log10(last) * i) / (CHECKPOINTS - 1)));
  return [...new Set([0, ...Array.from({ length: CHECKPOINTS }, (_, i) => place(i))])];
}

/** Mean (d) and covariance (d, d), of the sample, of rows (n, d). */
export function momentsOf(x, n, d) {
  const mean = new Float64Array(d);
  for (let i = 0; i < n; i += 1) for (let j = 0; j < d; j += 1) mean[j] += x[i * d + j] / n;
  const covariance = new Float64Array(d * d);
  for (let i = 0; i < n; i += 1) {
    for (let j = 0; j < d; j += 1) {
      const centred = (x[i * d + j] - mean[j]) / (n - 1);
      for (let k = 0; k <= j; k += 1) covariance[j * d + k] += centred * (x[i * d + k] - mean[k]);
    }
  }
  for (let j = 0; j < d; j += 1) for (let k = 0; k < j; k += 1) covariance[k * d + j] = covariance[j * d + k];
  return { mean, covariance };
}

/** The symmetric root of a covariance (d, d): lrlib.rank.covariance_root. */
function rootOf(covariance, d) {
  const { values, vectors } = eigenvectors(covariance.slice(), d);
  const root = new Float64Array(d * d);
  for (let k = 0; k < d; k += 1) {
    const length = Math.sqrt(Math.max(0, values[k]));
    for (let i = 0; i < d; i += 1) {
      for (let j = 0; j < d; j += 1) root[i * d + j] += length * vectors[k * d + i] * vectors[k * d + j];
    }
  }
  return root;
}

export class Training {
  constructor(settings, digits) {
    this.settings = settings;
    this.generator = new Generator(settings.seed);
    const { train, test } = dataOf(settings, this.generator, digits);
    [this.train, this.test] = [train, test];
    const widths = [train.inputs, ...Array(settings.depth).fill(settings.width), train.outputs];
    this.network = Network.start(widths, settings.activation, settings.scale, this.generator);
    this.moments = momentsOf(train.x, train.n, train.inputs);
    this.inputFactor = rootOf(this.moments.covariance, train.inputs);
    const zeros = (arrays) => arrays.map((array) => new Float64Array(array.length));
    this.gradients = [zeros(this.network.weights), zeros(this.network.biases)];
    this.momenta = [zeros(this.network.weights), zeros(this.network.biases)];
    this.batch = { ...train, n: settings.batch, x: new Float64Array(settings.batch * train.inputs) };
    this.batch.classes = train.classes && new Int32Array(settings.batch);
    this.batch.targets = train.targets && new Float64Array(settings.batch * train.outputs);
    this.outputGradient = new Float64Array(settings.batch * train.outputs);
    this.at = train.n; // in the order of this epoch, which is still to be drawn
    this.due = new Set(logSteps(settings.steps));
    this.losses = []; // of the mini-batch before each update
    this.records = [];
    this.failure = null; // in words, once something is not finite
    this.record();
  }

  get step() {
    return this.losses.length;
  }

  get finished() {
    return this.failure !== null || this.step >= this.settings.steps;
  }

  /** The next mini-batch; an incomplete last one is left out. */
  nextBatch() {
    const { train, batch } = this;
    if (this.at + batch.n > train.n) [this.order, this.at] = [this.generator.permutation(train.n), 0];
    for (let i = 0; i < batch.n; i += 1) {
      const row = this.order[this.at + i];
      for (let j = 0; j < train.inputs; j += 1) batch.x[i * train.inputs + j] = train.x[row * train.inputs + j];
      if (batch.classes) batch.classes[i] = train.classes[row];
      if (!batch.targets) continue;
      for (let j = 0; j < train.outputs; j += 1) batch.targets[i * train.outputs + j] = train.targets[row * train.outputs + j];
    }
    this.at += batch.n;
    return batch;
  }

  /** One update of all weights and biases, and a record where one is due. */
  advance() {
    const { network, settings } = this;
    const batch = this.nextBatch();
    const outputs = network.forward(batch.x, batch.n);
    const loss = lossOf(settings.loss, outputs, batch, this.outputGradient);
    if (!Number.isFinite(loss)) return this.fail(`The loss is ${loss} at step ${this.step}`);
    network.backward(batch.x, batch.n, this.outputGradient, ...this.gradients);
    [network.weights, network.biases].forEach((arrays, kind) => arrays.forEach((array, l) => this.update(array, kind, l)));
    this.losses.push(loss);
    if (this.due.has(this.step)) this.record();
    return undefined;
  }

  update(array, kind, l) {
    const { lr, momentum, decay } = this.settings;
    const [gradient, velocity] = [this.gradients[kind][l], this.momenta[kind][l]];
    for (let i = 0; i < array.length; i += 1) {
      const full = gradient[i] + decay * array[i];
      velocity[i] = momentum * velocity[i] + full;
      array[i] -= lr * velocity[i];
    }
  }

  fail(what) {
    const { lr, momentum } = this.settings;
    const cure = momentum ? `try a learning rate below ${lr}, or less momentum` : `try a learning rate below ${lr}`;
    this.failure = `${what}: training diverged. Reset, and ${cure}.`;
  }

  /** Losses, scores, and singular values at the probe, of the weights as they are now. */
  read() {
    const { network, train, test, settings } = this;
    const judged = [train, test].map((set) => {
      const outputs = network.forward(set.x, set.n);
      return { loss: lossOf(settings.loss, outputs, set), score: scoreOf(outputs, set) };
    });
    network.forward(test.x.subarray(0, PROBE * test.inputs), PROBE);
    const layers = Array.from(network.weights.keys());
    const at = (factor) => spectra(network, PROBE, firstFactor(network, factor, test.inputs), test.inputs, layers);
    return { step: this.step, train: judged[0], test: judged[1], plain: at(null), scaled: at(this.inputFactor) };
  }

  record() {
    const { weights, biases } = this.network;
    if (![...weights, ...biases].every((array) => array.every(Number.isFinite))) {
      this.fail(`A weight is not finite after step ${this.step}`);
      return;
    }
    try {
      this.records.push(this.read());
    } catch (error) {
      if (!(error instanceof NotFinite)) throw error;
      this.fail(`A Jacobian is not finite after step ${this.step}`);
    }
  }
}
