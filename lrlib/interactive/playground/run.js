// One run of the playground as the page knows it: records, the newest reading, and what is said of them.

const PROBE_INPUTS = 64; // as PROBE of engine/training.js

const thousands = (n) => n.toLocaleString("en-US");
const threeDigits = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "–");
const percent = (share) => (Math.abs(share) < 10 ? String(Math.round(100 * share)) : "–");

class Run {
  constructor(id) {
    this.id = id;
    this.started = null; // widths, and the training points with their colours
    this.records = []; // what was read off at the steps that lrlib's code reads too
    this.live = null; // a reading between two of them
    this.step = 0;
    this.finished = false;
    this.failure = null; // in words
    this.unreadable = false; // at this step the weights are too large for pictures
    this.picture = null; // of the plane
    this.features = null;
    this.curves = []; // [step, local rank of every layer] at the records, for the reading in `curvesOf`
    this.curvesOf = null;
  }

  begin({ widths, points, colours }) {
    const classes = colours instanceof Int32Array ? widths.at(-1) : 0;
    this.started = { widths, points, colours, classes, names: widths.slice(1).map((_, l) => `L${l + 1}`) };
  }

  take({ step, finished, failure, unreadable, records, live, features, picture }) {
    this.records.push(...records);
    this.live = live ?? (records.length ? null : this.live); // one that comes with records is newer
    Object.assign(this, { step, finished, failure, unreadable });
    this.features = features ?? this.features;
    this.picture = picture ?? this.picture;
  }

  get readings() {
    return this.live ? [...this.records, this.live] : this.records;
  }

  get newest() {
    return this.live ?? this.records.at(-1);
  }

  /** What the scores are: a teacher has no classes. */
  get score() {
    return this.started.classes ? "accuracy" : "variance explained";
  }

  /** Points [step, local rank] of every layer. Those of the records are kept from one frame to the next. */
  rankCurves(reading, eps) {
    const key = `${reading} ${eps}`;
    if (this.curvesOf !== key) [this.curves, this.curvesOf] = [[], key];
    const point = (record) => [record.step, spectraOf(record, reading).map((values) => localRank(values, PROBE_INPUTS, reading, eps))];
    this.curves.push(...this.records.slice(this.curves.length).map(point));
    const points = this.live ? [...this.curves, point(this.live)] : this.curves;
    return this.started.names.map((_, l) => points.map(([step, ranks]) => [step, ranks[l]]));
  }

  /** The run in a sentence. */
  told(steps) {
    const { step, train, test } = this.newest;
    const loss = `loss ${threeDigits(train.loss)} in training, ${threeDigits(test.loss)} in test`;
    const at = this.failure ? step : this.step; // once it has diverged, of what could be read off last
    return `Step ${thousands(at)} of ${thousands(steps)}: ${loss}; test ${this.score} ${percent(test.score)} %.`;
  }

  /** All of it as a table for a file; `saved` are the losses and weights, from the worker. */
  table({ settings, losses, widths, weights, biases }, { reading, eps }) {
    const listedAll = (arrays) => arrays.map((array) => [...array]);
    const ranks = this.rankCurves(reading, eps).map((points) => points.slice(0, this.records.length).map(([, rank]) => rank));
    const each = (what) => this.records.map((record) => record[what]);
    return {
      settings,
      widths,
      losses: [...losses],
      steps: each("step"),
      reading,
      eps,
      local_rank: ranks,
      train: each("train"),
      test: each("test"),
      weights: listedAll(weights),
      biases: listedAll(biases),
    };
  }
}

/** The clock's rate: how much of a weight that no gradient holds decays in a step. */
function clockRate({ lr, decay, momentum }) {
  return (lr * decay) / (1 - momentum);
}

function clockText(settings, { step, failure }) {
  const rate = clockRate(settings);
  if (failure) return "";
  if (!rate) return "Without weight decay its clock ηλt stands still.";
  const symbol = settings.momentum ? "ηλt / (1 − momentum)" : "ηλt (learning rate × decay × steps)";
  const left = `${Math.round(100 * Math.exp(-rate * step))} %`;
  return `Weight decay's clock ${symbol} is at ${threeDigits(rate * step)}: decay alone would have left ${left} of every weight.`;
}
