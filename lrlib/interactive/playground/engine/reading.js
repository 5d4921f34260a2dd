// From the singular values at one input to a rank, and to local rank, its mean over inputs: as in lrlib.rank.

/** The rank by `reading` of the k singular values from `at` on, descending. `data-scaled` is told by what they are of. */
export function rankOf(values, at, k, reading, eps) {
  const top = values[at];
  if (reading === "effective" || reading === "stable") {
    if (top === 0) return 0;
    let [sum, squares, entropy] = [0, 0, 0];
    for (let i = at; i < at + k; i += 1) {
      sum += values[i];
      squares += (values[i] / top) ** 2;
    }
    if (reading === "stable") return squares;
    for (let i = at; i < at + k; i += 1) if (values[i] > 0) entropy -= (values[i] / sum) * Math.log(values[i] / sum);
    return Math.exp(entropy);
  }
  const cut = reading === "relative" ? eps * top : eps;
  let count = 0;
  while (count < k && values[at + count] > cut) count += 1;
  return count;
}

/** Which of a record's spectra a reading is of. */
export function spectraOf(record, reading) {
  return reading === "data-scaled" ? record.scaled : record.plain;
}

/** Local rank: the mean over n inputs of the rank of their singular values (n, k). */
export function localRank(values, n, reading, eps) {
  const k = values.length / n;
  let sum = 0;
  for (let i = 0; i < n; i += 1) sum += rankOf(values, i * k, k, reading, eps);
  return sum / n;
}
