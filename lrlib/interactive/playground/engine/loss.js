// Losses as torch's: cross_entropy is a mean over inputs, mse_loss a mean over inputs and outputs.

/** Mean cross-entropy of outputs (n, m) for classes; its gradient goes into `gradient` unless that is null. */
function crossEntropy(outputs, classes, gradient, n, m) {
  let total = 0;
  for (let i = 0; i < n; i += 1) {
    let top = -Infinity;
    for (let j = 0; j < m; j += 1) top = Math.max(top, outputs[i * m + j]);
    let sum = 0;
    for (let j = 0; j < m; j += 1) sum += Math.exp(outputs[i * m + j] - top);
    const log = top + Math.log(sum);
    total += log - outputs[i * m + classes[i]];
    if (!gradient) continue;
    for (let j = 0; j < m; j += 1) gradient[i * m + j] = Math.exp(outputs[i * m + j] - log) / n;
    gradient[i * m + classes[i]] -= 1 / n;
  }
  return total / n;
}

function meanSquare(outputs, targets, gradient, n, m) {
  let total = 0;
  for (let i = 0; i < n * m; i += 1) {
    const error = outputs[i] - targets[i];
    total += error * error;
    if (gradient) gradient[i] = (2 * error) / (n * m);
  }
  return total / (n * m);
}

/** The mean loss of outputs for a set, by the name of the loss. */
export function lossOf(name, outputs, set, gradient = null) {
  return name === "mse"
    ? meanSquare(outputs, set.targets, gradient, set.n, set.outputs)
    : crossEntropy(outputs, set.classes, gradient, set.n, set.outputs);
}

/** The share of inputs whose largest output is their class or, without classes, of the targets' variance explained. */
export function scoreOf(outputs, { classes, targets, n, outputs: m }) {
  if (classes) {
    let right = 0;
    for (let i = 0; i < n; i += 1) {
      let best = 0;
      for (let j = 1; j < m; j += 1) if (outputs[i * m + j] > outputs[i * m + best]) best = j;
      right += best === classes[i] ? 1 : 0;
    }
    return right / n;
  }
  let [missed, all] = [0, 0];
  for (let j = 0; j < m; j += 1) {
    let mean = 0;
    for (let i = 0; i < n; i += 1) mean += targets[i * m + j] / n;
    for (let i = 0; i < n; i += 1) {
      missed += (outputs[i * m + j] - targets[i * m + j]) ** 2;
      all += (targets[i * m + j] - mean) ** 2;
    }
  }
  return 1 - missed / all;
}
