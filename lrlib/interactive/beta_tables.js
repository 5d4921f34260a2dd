// The tables of BetaDial at one β: costs, and every reading of rank, where a press draws a reading against β.

const COST_ROWS = {
  test_error: ["test error", (value) => percent(value)],
  distortion: ["distortion D, nats", threeDigits],
  rate: ["rate R, nats", threeDigits],
  information_lower: ["I(X;Z) at least, nats", threeDigits],
  information_upper: ["I(X;Z) at most, nats", threeDigits],
  calibration: ["calibration error", (value) => percent(value)],
};

/** "3.1 to 3.4", or `same` where several seeds show no difference, and nothing where there is one seed. */
function rangeText(found, written, { between = " to ", same = "" } = {}) {
  if (!found || found.values.length < 2) return "";
  const [low, high] = [written(found.low), written(found.high)];
  return low === high ? same : `${low}${between}${high}`;
}

/** Costs of the network at one β: mean over seeds, and the lowest and highest seed. */
function costTable({ facts, network }) {
  const when = make("span", { class: "lr-nowrap" });
  const body = make("tbody");
  const heads = ["", "mean", "over seeds"].map((text) => make("th", { scope: "col" }, text));
  const caption = make("caption", {}, "The network ", when);
  const table = make("table", { class: "lr-costs" }, caption, make("thead", {}, make("tr", {}, heads)), body);
  const show = ({ b, beta, seeds }) => {
    const rows = facts.network.filter((name) => facts.betas.some((_, i) => network(i, name, facts.seeds.map((_, s) => s))));
    when.textContent = `at β = ${beta}`;
    body.replaceChildren(...rows.map((name) => {
      const [title, written] = COST_ROWS[name];
      const found = network(b, name, seeds);
      return make("tr", { "data-cost": name }, make("th", { scope: "row" }, title), make("td", { "data-mean": true }, found ? written(found.mean) : "–"), make("td", { "data-range": true }, rangeText(found, written, { same: "the same" }) || "–"));
    }));
  };
  return { table, show };
}

/** Every reading of rank at one β, thresholds across. Each number is a button that draws its reading against β. */
function readingTable({ models: { facts, summary }, toggle, signal }) {
  const levelsOf = [...new Set(facts.columns.map(({ eps }) => eps))].sort((a, b) => (a ?? Infinity) - (b ?? Infinity));
  const names = [...new Set(facts.columns.map(({ reading }) => reading))];
  const when = make("span", { class: "lr-nowrap" });
  const heads = ["reading", ...levelsOf.map((eps) => (eps === null ? "no ε" : `ε = ${eps}`))].map((text) => make("th", { scope: "col" }, text));
  const body = make("tbody");
  const caption = make("caption", {}, "Readings of rank ", when, "; press one to draw it against β");
  const node = make("table", { class: "lr-rank-table" }, caption, make("thead", {}, make("tr", {}, heads)), body);
  const cells = facts.columns.map((column, q) => {
    const [value, range, sign] = [make("strong"), make("small"), make("span", { class: "lr-sign" }, swatchOf(facts, q))];
    const button = make("button", { type: "button", class: "lr-reading", "data-control": "reading", "data-q": q }, value, range, sign);
    button.addEventListener("click", () => toggle(q), { signal });
    return { column, button, value, range };
  });
  body.append(...names.map((name) => {
    const of = (eps) => cells.find(({ column }) => column.reading === name && column.eps === eps);
    const head = make("th", { scope: "row" }, name, make("small", {}, facts.notes[name] ?? ""));
    return make("tr", { "data-reading": name }, head, levelsOf.map((eps) => make("td", {}, of(eps)?.button ?? null)));
  }));
  const show = ({ b, beta, seeds, on }) => {
    when.textContent = `at β = ${beta}`;
    cells.forEach(({ column, button, value, range }, q) => {
      const found = summary(b, q, seeds);
      value.textContent = found ? rankText(found.mean) : "–";
      range.textContent = rangeText(found, rankText, { between: "–" });
      button.setAttribute("aria-pressed", on.includes(q));
      button.setAttribute("aria-label", `${readingName(column)}: ${found ? rankText(found.mean) : "not stored"}`);
    });
  };
  return { node, show };
}
