// The tables of EstimatorBench: the estimators at one case and N, and the bias of all in all cases at that N.

// Nats of bias at which a cell of the overview becomes darker: half a power of ten apart
const SHADES = [0.03, 0.1, 0.3, 1];

/** A table that may be wider than a phone: it scrolls in a box of its own, by keys too where it has to. */
function scrolling(table, label) {
  const node = make("div", { class: "lr-scroll", role: "region", "aria-label": label }, table);
  const fit = () => {
    if (node.scrollWidth > node.clientWidth + 1) node.setAttribute("tabindex", "0");
    else node.removeAttribute("tabindex");
  };
  return { node, fit };
}

/** Bias, spread and standard error of the estimators that are shown. */
function benchTable({ facts, cell }) {
  const caption = make("caption");
  const body = make("tbody");
  const heads = ["estimator", "mean", "bias", "spread over seeds", "reported s.e.", "saturated"];
  const head = make("tr", {}, heads.map((text) => make("th", { scope: "col" }, text)));
  const { node, fit } = scrolling(make("table", { class: "lr-bench-table" }, caption, make("thead", {}, head), body), "Estimators in this case");
  const show = ({ c, k, shown }) => {
    const row = (e) => {
      const [name, found] = [facts.estimators[e], cell(c, e, k)];
      const th = make("th", { scope: "row" }, benchSwatch(facts, e), name, " ", make("span", { class: "lr-kind" }, facts.cases[c].kinds[e]));
      const numbers = found
        ? { mean: natsText(found.mean), bias: natsText(found.bias, { signed: true }), spread: natsText(found.spread), stderr: natsText(found.stderr), saturated: `${found.saturated} of ${found.seeds.length}` }
        : { mean: "–", bias: "–", spread: "–", stderr: "–", saturated: "–" };
      return make("tr", { "data-row": name }, th, Object.entries(numbers).map(([key, text]) => make("td", { [`data-${key}`]: true }, text)));
    };
    const { name, truth } = facts.cases[c];
    const strong = (text) => make("span", {}, text);
    caption.replaceChildren("Case ", strong(name), ", N = ", strong(sizeText(facts.sizes[k])), ", truth ", strong(`${natsText(truth)} nats`), "; all in nats");
    body.replaceChildren(...shown.map(row));
    fit();
  };
  return { node, show };
}

/** How dark a cell of this bias is: 0 to 4, as a class name. */
function shadeOf(bias) {
  const level = SHADES.filter((least) => Number(Math.abs(bias).toFixed(2)) >= least).length; // of the number that is printed
  return level ? `lr-${bias < 0 ? "low" : "high"} lr-shade-${level}` : null;
}

/** The bias of every estimator that is switched on, in every case; a click on a row chooses its case. */
function biasTable({ bench: { facts, cell }, choose, signal }) {
  const words = make("div", { class: "lr-kept" }); // stays where it is while the table scrolls
  const caption = make("caption", {}, words);
  const head = make("tr");
  const body = make("tbody");
  const sample = (bias, text) => make("li", { class: `lr-swatch ${shadeOf(bias)}` }, text);
  const low = SHADES.map((least) => sample(-least, `\u2264 \u2212${least}`)).toReversed();
  const high = SHADES.map((least) => sample(least, `\u2265 +${least}`));
  const legend = make("ul", { class: "lr-legend lr-shades", "aria-label": "Shades of bias, in nats" }, low, high);
  const { node, fit } = scrolling(make("table", { class: "lr-bias" }, caption, make("thead", {}, head), body), "Bias in every case");
  const pick = (event) => {
    const row = event.target.closest("tr[data-case]");
    if (row) choose({ case: row.dataset.case });
  };
  body.addEventListener("click", pick, { signal });
  const show = ({ c, k, chosen }) => {
    const biasCell = (at, e) => {
      const found = cell(at, e, k);
      const attributes = { "data-bias": facts.estimators[e], class: found && shadeOf(found.bias) };
      return make("td", attributes, found ? natsText(found.bias, { digits: 2, signed: true }) : "");
    };
    const row = ({ name }, at) =>
      make("tr", { "data-case": name, "aria-current": at === c ? "true" : null }, make("th", { scope: "row" }, name), chosen.map((e) => biasCell(at, e)));
    words.replaceChildren("Bias in nats in ", make("span", {}, "every case"), ", at N = ", make("span", {}, sizeText(facts.sizes[k])), "; empty: not run. A click on a row chooses its case, as the list above does");
    head.replaceChildren(make("th", { scope: "col" }, "case"), ...chosen.map((e) => make("th", { scope: "col" }, facts.estimators[e])));
    body.replaceChildren(...facts.cases.map(row));
    fit();
  };
  return { nodes: [node, legend], show };
}
