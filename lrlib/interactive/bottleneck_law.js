// The closed form of the Gaussian bottleneck, one canonical direction at a time, and how BottleneckDial writes it.
// The tests hold every number to the same formulas in Python.

const TIE = 1e-9; // a share by which a threshold must be passed: rounding must not count what equals it

/** What decides about a direction: its correlation ρ, its signal-to-noise ratio ρ²/(1 - ρ²), and its critical β. */
function direction(rho) {
  return { rho, ratio: (rho * rho) / ((1 - rho) * (1 + rho)), critical: 1 / (rho * rho) };
}

/** The square of the encoder's singular value at β: (β ρ² - 1) / (1 - ρ²), or 0 up to the critical β. */
function gainAt({ rho }, beta) {
  const excess = beta * rho * rho - 1;
  return excess > 0 ? excess / ((1 - rho) * (1 + rho)) : 0;
}

/** Nats that T keeps of a direction of X, and what it says with them about Y. */
function natsAt(way, beta) {
  const gain = gainAt(way, beta);
  return { x: Math.log1p(gain) / 2, y: -Math.log1p((-way.rho * way.rho * gain) / (1 + gain)) / 2 };
}

/** The β above which a threshold counts a direction: ε itself, or ε times the largest singular value. */
function readAt(way, { eps, relative, strongest }) {
  const ratio = relative ? way.ratio - eps * eps * strongest : way.ratio;
  const wanted = relative ? 1 - eps * eps : 1 + eps * eps;
  return ratio > TIE ? 1 + wanted / ratio : Infinity;
}

/** Everything at these settings. Directions stay in the order in which the reader has them. */
function solve({ correlations, beta, eps, relative }) {
  const ways = correlations.map(direction);
  const strongest = Math.max(...ways.map(({ ratio }) => ratio));
  const sigmas = ways.map((way) => Math.sqrt(gainAt(way, beta)));
  const threshold = (at) => eps * (relative ? Math.sqrt(Math.max(...ways.map((way) => gainAt(way, at)))) : 1);
  const cut = threshold(beta) * (1 + TIE); // a singular value equal to the threshold does not exceed it
  const rows = ways.map((way, i) => ({
    ...way,
    ...natsAt(way, beta),
    sigma: sigmas[i],
    read: readAt(way, { eps, relative, strongest }),
    counted: sigmas[i] > cut,
  }));
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const informationAt = (at) => ["x", "y"].map((name) => sum(ways.map((way) => natsAt(way, at)[name])));
  return {
    rows,
    threshold,
    informationAt,
    most: sum(ways.map(({ rho }) => -Math.log1p(-rho * rho) / 2)), // I(X;Y)
    rank: rows.filter(({ sigma }) => sigma > 0).length,
    count: rows.filter(({ counted }) => counted).length,
  };
}

/** A number in so many digits, without an exponent; infinity is a dash. */
function digits(value, places) {
  if (!Number.isFinite(value)) return "–";
  return value < 10 ** places ? value.toPrecision(places) : String(Math.round(value));
}

/** A critical β: five digits, without zeros at the end. */
function criticalText(critical) {
  return Number.isFinite(critical) ? String(Number(critical.toPrecision(5))) : "–";
}

/** How long after its step a direction is read, as a share of its critical β. */
function lateText({ critical, read }) {
  if (!Number.isFinite(critical)) return "–";
  if (!Number.isFinite(read)) return "never";
  const percent = 100 * (read / critical - 1);
  if (percent < 1e-6) return "0\u00a0%";
  return percent < 0.01 ? "<\u00a00.01\u00a0%" : `${digits(percent, 2)}\u00a0%`;
}

function stateText({ sigma, counted }) {
  if (sigma === 0) return "off";
  return counted ? "on" : "unread";
}

/** What the table does not say in words: which steps are read late, or never, and which are beyond the axis. */
function inWords({ rows }, condition, last) {
  const names = (test) => rows.map((row, i) => [row, `σ${subscript(i + 1)}`]).filter(([row]) => test(row));
  const plain = (test) => listed(names(test).map(([, name]) => name));
  const steps = ({ critical }) => Number.isFinite(critical);
  const late = listed(names((row) => row.read > row.critical * (1 + TIE) && Number.isFinite(row.read)).map(([row, name]) => `${name} by ${lateText(row)}`));
  const unread = plain((row) => steps(row) && !Number.isFinite(row.read));
  const idle = plain((row) => !steps(row));
  const far = listed(names(({ critical }) => critical > last && Number.isFinite(critical)).map(([row, name]) => `${name} (β = ${criticalText(row.critical)})`));
  return [
    late && `Counting ${condition} reads the steps late: ${late}.`,
    unread && `Counting ${condition} never reads ${unread}.`,
    far && `Beyond the axis: ${far}.`,
    idle && `ρ = 0, so off at every β: ${idle}.`,
  ]
    .filter(Boolean)
    .join(" ");
}
