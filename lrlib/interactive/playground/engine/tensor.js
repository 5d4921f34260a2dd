// Products of matrices that lie row by row in Float64Arrays: all the linear algebra that training needs.

/**
 * out (n, m), with out_ij the sum over k terms of a[i ai + p ap] b[j bj + p bp]: every product here, for its strides.
 * With `lower`, what lies above the diagonal may be left as it was. Two rows and four columns at a time: eight sums that share what is read, four times as fast as one after another.
 */
function product(a, ai, ap, b, bj, bp, out, n, k, m, lower = false) {
  const rows = n - (n % 2), columns = m - (m % 4);
  for (let i = 0; i < rows; i += 2) {
    const end = lower ? Math.min(columns, i + 2) : columns;
    for (let j = 0; j < end; j += 4) {
      let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
      let p0 = i * ai, p1 = p0 + ai;
      let q0 = j * bj, q1 = q0 + bj, q2 = q1 + bj, q3 = q2 + bj;
      for (let p = 0; p < k; p += 1) {
        const f0 = a[p0], f1 = a[p1], g0 = b[q0], g1 = b[q1], g2 = b[q2], g3 = b[q3];
        s00 += f0 * g0;
        s01 += f0 * g1;
        s02 += f0 * g2;
        s03 += f0 * g3;
        s10 += f1 * g0;
        s11 += f1 * g1;
        s12 += f1 * g2;
        s13 += f1 * g3;
        p0 += ap;
        p1 += ap;
        q0 += bp;
        q1 += bp;
        q2 += bp;
        q3 += bp;
      }
      const at = i * m + j;
      out[at] = s00;
      out[at + 1] = s01;
      out[at + 2] = s02;
      out[at + 3] = s03;
      out[at + m] = s10;
      out[at + m + 1] = s11;
      out[at + m + 2] = s12;
      out[at + m + 3] = s13;
    }
  }
  for (let i = 0; i < n; i += 1) {
    for (let j = i < rows ? columns : 0; j < m; j += 1) {
      let sum = 0;
      for (let p = 0, f = i * ai, g = j * bj; p < k; p += 1, f += ap, g += bp) sum += a[f] * b[g];
      out[i * m + j] = sum;
    }
  }
  return out;
}

/** out (n, m) = a (n, k) b^T, with b (m, k). */
export const timesTransposed = (a, b, out, n, k, m) => product(a, k, 1, b, k, 1, out, n, k, m);

/** out (n, m) = a (n, k) b, with b (k, m). */
export const times = (a, b, out, n, k, m) => product(a, k, 1, b, 1, m, out, n, k, m);

/** out (k, m) = a^T b, with a (n, k) and b (n, m). */
export const transposedTimes = (a, b, out, n, k, m) => product(a, 1, k, b, 1, m, out, k, n, m);

/** The lower triangle of out (n, n) = a a^T, with a (n, k). */
export const gram = (a, out, n, k) => product(a, k, 1, a, k, 1, out, n, k, n, true);

/** The lower triangle of out (k, k) = a^T a, with a (n, k). */
export const transposedGram = (a, out, n, k) => product(a, 1, k, a, 1, k, out, k, n, k, true);
