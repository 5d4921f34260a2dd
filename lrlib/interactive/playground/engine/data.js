// The playground's data, point by point those of lrlib.data.plane and lrlib.data.gaussian_teacher for one generator.
// A set is { x (n, d), classes (n) or null, targets (n, m) or null } in Float64Arrays; half is for training, half to test.

export const TRAINING = 500; // points to train on; as many again to test, but for the digits
const OUTPUTS = 10; // of the teacher
const TURNS = 1.25;

const alternating = (n) => Int32Array.from({ length: n }, (_, i) => i % 2);

/** Points (n, 2) from a function of the class and a uniform number, with normal noise on top. */
function inThePlane(n, noise, generator, point) {
  const classes = alternating(n);
  const along = generator.uniform(n);
  const shaken = generator.normal(2 * n);
  const x = new Float64Array(2 * n);
  for (let i = 0; i < n; i += 1) {
    const place = point(classes[i], along[i]);
    for (const k of [0, 1]) x[2 * i + k] = place[k] + noise * shaken[2 * i + k];
  }
  return { x, classes, inputs: 2, outputs: 2 };
}

const PLANE = {
  spirals: (n, generator) =>
    inThePlane(n, 0.05, generator, (label, u) => {
      const angle = Math.PI * (2 * TURNS * Math.sqrt(u) + label);
      return [2 * Math.sqrt(u) * Math.cos(angle), 2 * Math.sqrt(u) * Math.sin(angle)];
    }),
  rings: (n, generator) =>
    inThePlane(n, 0.1, generator, (label, u) => {
      const radius = label ? 1.8 : 0.8;
      return [radius * Math.cos(2 * Math.PI * u), radius * Math.sin(2 * Math.PI * u)];
    }),
  moons: (n, generator) =>
    inThePlane(n, 0.15, generator, (label, u) => {
      const [c, s] = [Math.cos(Math.PI * u), Math.sin(Math.PI * u)];
      return label ? [1.5 * (0.5 - c), 1.5 * (0.25 - s)] : [1.5 * (c - 0.5), 1.5 * (s - 0.25)];
    }),
};

/** y = x weight^T + noise, with a weight (m, d) of the given rank. */
function teacher(n, inputs, rank, noise, generator) {
  const [left, right] = [generator.normal(OUTPUTS * rank), generator.normal(rank * inputs)];
  const weight = new Float64Array(OUTPUTS * inputs);
  for (let i = 0; i < OUTPUTS; i += 1) {
    for (let j = 0; j < inputs; j += 1) {
      let sum = 0;
      for (let k = 0; k < rank; k += 1) sum += left[i * rank + k] * right[k * inputs + j];
      weight[i * inputs + j] = sum / Math.sqrt(rank * inputs);
    }
  }
  const x = generator.normal(n * inputs);
  const shaken = generator.normal(n * OUTPUTS);
  const targets = shaken.map((z, at) => {
    const [i, j] = [Math.floor(at / OUTPUTS), at % OUTPUTS];
    let sum = 0;
    for (let k = 0; k < inputs; k += 1) sum += x[i * inputs + k] * weight[j * inputs + k];
    return sum + noise * z;
  });
  return { x, targets, inputs, outputs: OUTPUTS };
}

/** Give each label another one, with probability `share`: lrlib.data.plane.flip_labels. */
function flipLabels(classes, share, outputs, generator) {
  const chosen = generator.uniform(classes.length);
  const shift = generator.integers(1, outputs, classes.length);
  return classes.map((label, i) => (chosen[i] < share ? (label + shift[i]) % outputs : label));
}

/** Rows from .. to of a set. */
function part({ x, classes, targets, inputs, outputs }, from, to) {
  return {
    n: to - from,
    inputs,
    outputs,
    x: x.slice(from * inputs, to * inputs),
    classes: classes ? classes.slice(from, to) : null,
    targets: targets ? targets.slice(from * outputs, to * outputs) : null,
  };
}

/** Classes as targets for a mean squared error: 1 at the class, 0 elsewhere. */
function oneHot(classes, outputs) {
  const made = new Float64Array(classes.length * outputs);
  classes.forEach((label, i) => (made[i * outputs + label] = 1));
  return made;
}

function drawn({ data, inputs, rank, noise }, generator, digits) {
  if (data === "digits") return digits;
  const all =
    data === "teacher" ? teacher(2 * TRAINING, inputs, rank, noise, generator) : PLANE[data](2 * TRAINING, generator);
  return { train: part(all, 0, TRAINING), test: part(all, TRAINING, 2 * TRAINING) };
}

/** Training and test set of these settings. Labels are flipped in training only; the teacher's noise is in both. */
export function dataOf(settings, generator, digits) {
  const { train, test } = drawn(settings, generator, digits);
  const flipped = train.classes && flipLabels(train.classes, settings.noise, train.outputs, generator);
  const sets = { train: flipped ? { ...train, classes: flipped } : train, test };
  if (settings.loss === "mse") for (const set of Object.values(sets)) set.targets ??= oneHot(set.classes, set.outputs);
  return sets;
}

/** The digits from what the page holds of them: pixels of 0 .. 16 and labels, and the mean and deviation to divide by. */
export function digitsOf({ pixels, labels, training, mean, deviation }) {
  const [middle, width] = [Math.fround(mean), Math.fround(deviation)]; // torch computes them in float32
  const x = Float64Array.from(pixels, (value) => Math.fround(Math.fround(value / 16 - middle) / width));
  const all = { x, classes: Int32Array.from(labels), inputs: 64, outputs: 10 };
  return { train: part(all, 0, training), test: part(all, training, labels.length) };
}
