// Eigenvalues of a symmetric matrix, and eigenvectors if asked for: Householder's reduction to tridiagonal form, then
// the implicit QL method with Wilkinson's shift (Golub & Van Loan, Matrix Computations, sections 8.3.1 and 8.3.3).

const MOST_SWEEPS = 60; // for one eigenvalue; two or three is what it takes
const NEGLIGIBLE = 1e-145; // beside entries near 1, to which matrices are scaled: the square of less would lose digits
const NEGLIGIBLE_SQUARE = 1e-290;

export class NotFinite extends Error {}

/** Divide the first `count` entries by a power of two, which rounds nothing, to be near 1; returns what undoes it. */
export function scaleDown(a, count) {
  let top = 0;
  for (let i = 0; i < count; i += 1) top = Math.max(top, Math.abs(a[i])); // NaN if one is NaN
  if (!Number.isFinite(top)) throw new NotFinite("eigenvalues: an entry of the matrix is not finite");
  const scale = top === 0 ? 1 : 2 ** Math.max(-1022, Math.floor(Math.log2(top)));
  for (let i = 0; i < count; i += 1) a[i] /= scale;
  return scale;
}

/** The reflection 1 - v v^T / half that keeps of column k below the diagonal its first entry only, which is returned. */
function reflection(a, n, k, v) {
  let squared = 0; // of what lies below the first entry
  for (let i = k + 1; i < n; i += 1) {
    v[i] = a[i * n + k];
    if (i > k + 1) squared += v[i] * v[i];
  }
  if (squared < NEGLIGIBLE_SQUARE) return { head: v[k + 1], half: 0 };
  const length = Math.sqrt(v[k + 1] * v[k + 1] + squared);
  const head = v[k + 1] > 0 ? -length : length;
  v[k + 1] -= head;
  return { head, half: (v[k + 1] * v[k + 1] + squared) / 2 };
}

/**
 * Reduce a symmetric a (n, n) to a tridiagonal matrix, in place, reading the triangle below its diagonal only.
 * `turns`, if given, becomes the orthogonal (n, n) that does it.
 */
function tridiagonal(a, n, turns) {
  const diagonal = new Float64Array(n);
  const beside = new Float64Array(n); // beside[i] joins i and i + 1; the last is 0
  const v = new Float64Array(n);
  const w = new Float64Array(n);
  for (let k = 0; k + 2 < n; k += 1) {
    const { head, half } = reflection(a, n, k, v);
    beside[k] = head;
    if (half === 0) continue;
    let dot = 0;
    for (let i = k + 1; i < n; i += 1) {
      const vi = v[i];
      let sum = a[i * n + i] * vi;
      for (let j = k + 1, at = i * n + j; j < i; j += 1, at += 1) {
        sum += a[at] * v[j];
        w[j] += a[at] * vi;
      }
      w[i] = sum;
    }
    for (let i = k + 1; i < n; i += 1) {
      w[i] /= half;
      dot += w[i] * v[i];
    }
    for (let i = k + 1; i < n; i += 1) {
      w[i] -= (dot / (2 * half)) * v[i];
      const vi = v[i];
      const wi = w[i];
      for (let j = k + 1, at = i * n + j; j <= i; j += 1, at += 1) a[at] -= vi * w[j] + wi * v[j];
    }
    if (!turns) continue;
    for (let i = 0; i < n; i += 1) {
      let sum = 0;
      for (let j = k + 1; j < n; j += 1) sum += turns[i * n + j] * v[j];
      for (let j = k + 1; j < n; j += 1) turns[i * n + j] -= (sum / half) * v[j];
    }
  }
  for (let i = 0; i < n; i += 1) diagonal[i] = a[i * n + i];
  if (n > 1) beside[n - 2] = a[(n - 1) * n + n - 2];
  return { diagonal, beside };
}

/** One implicit QL step on rows low .. high of a tridiagonal matrix. */
function sweep(d, e, low, high, n, turns) {
  let g = (d[low + 1] - d[low]) / (2 * e[low]);
  const root = Math.sqrt(g * g + 1);
  g = d[high] - d[low] + e[low] / (g + (g >= 0 ? root : -root));
  let s = 1;
  let c = 1;
  let p = 0;
  for (let i = high - 1; i >= low; i -= 1) {
    const f = s * e[i];
    const b = c * e[i];
    const squared = f * f + g * g;
    if (squared < NEGLIGIBLE_SQUARE) {
      d[i + 1] -= p;
      e[i + 1] = 0;
      e[high] = 0;
      return;
    }
    const r = Math.sqrt(squared);
    e[i + 1] = r;
    s = f / r;
    c = g / r;
    g = d[i + 1] - p;
    const t = (d[i] - g) * s + 2 * c * b;
    p = s * t;
    d[i + 1] = g + p;
    g = c * t - b;
    if (!turns) continue;
    for (let at = i; at < n * n; at += n) {
      const left = turns[at];
      const right = turns[at + 1];
      turns[at + 1] = s * left + c * right;
      turns[at] = c * left - s * right;
    }
  }
  d[low] -= p;
  e[low] = g;
  e[high] = 0;
}

function diagonalise(d, e, n, turns) {
  for (let low = 0; low < n; low += 1) {
    for (let sweeps = 0; ; sweeps += 1) {
      let high = low;
      const least = (i) => Number.EPSILON * (Math.abs(d[i]) + Math.abs(d[i + 1])) + NEGLIGIBLE;
      while (high < n - 1 && Math.abs(e[high]) > least(high)) high += 1;
      if (high === low) break;
      if (sweeps === MOST_SWEEPS) throw new Error("eigenvalues: no convergence");
      sweep(d, e, low, high, n, turns);
    }
  }
}

/** The eigenvalues, descending, of the symmetric matrix (n, n) whose lower triangle this is. It is overwritten. */
export function eigenvalues(a, n) {
  const scale = scaleDown(a, n * n);
  const { diagonal, beside } = tridiagonal(a, n, null);
  diagonalise(diagonal, beside, n, null);
  for (let i = 0; i < n; i += 1) diagonal[i] *= scale;
  return diagonal.sort().reverse();
}

/** The same, and its eigenvectors, one a row of `vectors` (n, n). */
export function eigenvectors(a, n) {
  const scale = scaleDown(a, n * n);
  const turns = new Float64Array(n * n);
  for (let i = 0; i < n; i += 1) turns[i * n + i] = 1;
  const { diagonal, beside } = tridiagonal(a, n, turns);
  diagonalise(diagonal, beside, n, turns);
  const order = Array.from(diagonal.keys()).sort((i, j) => diagonal[j] - diagonal[i]);
  const vectors = new Float64Array(n * n);
  order.forEach((column, row) => {
    for (let i = 0; i < n; i += 1) vectors[row * n + i] = turns[i * n + column];
  });
  return { values: Float64Array.from(order, (i) => scale * diagonal[i]), vectors };
}
