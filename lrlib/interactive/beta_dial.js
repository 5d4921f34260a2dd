// BetaDial: deep variational bottlenecks as β is turned. Plots are in beta_plane.js and beta_plots.js, tables in
// beta_tables.js; here are the words and the controls.

const ALL_SEEDS = "all: mean, lowest to highest";
const PARTNERS = ["distortion", "test_error"];

/** What is shown, in a sentence for who does not see it. */
function modelWords({ facts, summary, network }, { b, beta, seeds, s, on }) {
  const cost = (name) => {
    const found = network(b, name, seeds);
    if (!found) return `${COST_ROWS[name][0].split(",")[0]} not stored`;
    const [title, written] = COST_ROWS[name];
    const [what, unit] = title.split(", ");
    const range = rangeText(found, written);
    return `${what} ${written(found.mean)}${unit ? ` ${unit}` : ""}${range ? ` (${range} over ${found.values.length} seeds)` : ""}`;
  };
  const reading = (q) => {
    const found = summary(b, q, seeds);
    const range = rangeText(found, rankText);
    return `${readingName(facts.columns[q])}: ${found ? rankText(found.mean) : "not stored"}${range ? ` (${range})` : ""}`;
  };
  const costs = ["test_error", "rate", "distortion"].map(cost).join(", ");
  const which = s < 0 ? "" : `, seed ${facts.seeds[s]}`;
  return `β ${beta}${which}: ${costs}. ${on.length ? `${on.map(reading).join("; ")}.` : "No reading is switched on."}`;
}

/** A plot under its heading. Returns the parts: node, heading, svg. */
function betaView(name, attributes = {}, ...more) {
  const svg = make("svg", { "data-plot": name, role: "img", ...attributes });
  const heading = make("p", { class: "lr-heading" });
  return { node: make("div", { class: `lr-view-${name}` }, heading, svg, ...more), heading, svg };
}

/** The readings that are drawn, with their lines and numbers. */
function readingLegend({ facts, summary }, { b, seeds, on }) {
  return on.map((q, n) => {
    const found = summary(b, q, seeds);
    return make("li", { "data-legend": q }, make("strong", {}, String(n + 1)), " ", swatchOf(facts, q), ` ${readingName(facts.columns[q])}: `, make("strong", {}, found ? rankText(found.mean) : "–"));
  });
}

async function render({ model, el }) {
  const models = await readModels(model);
  const { facts } = models;
  const { betas } = facts;
  const life = new AbortController(); // aborting it removes every listener made below
  const { signal } = life;
  const id = freeId(model.get("label"));
  const choose = setterOf(model);
  const now = () => settingsOf(models, model);
  const toggle = (q) => {
    const { on } = now();
    const wanted = on.includes(q) ? on.filter((other) => other !== q) : [...on, q].sort((a, b) => a - b);
    choose({ readings: wanted.map((place) => [facts.columns[place].reading, facts.columns[place].eps]) });
  };
  const betaSlider = slider({ control: "beta", caption: "β", move: (place) => turnTo(place), signal });
  const button = (control, text) => make("button", { type: "button", class: text ? "lr-wide" : null, "data-control": control }, text ?? "");
  const [play, reset] = [button("play"), button("reset", "Reset")];
  const seedNames = [ALL_SEEDS, ...facts.seeds.map((seed) => `seed ${seed}`)];
  const seedPicker = picker({ control: "seed", caption: "Seeds", move: (i) => choose({ seed: i ? facts.seeds[i - 1] : null }), signal });
  const spectrumPicker = picker({ control: "spectrum", caption: "Spectrum of", move: (k) => choose({ spectrum: facts.spectra[k].name }), signal });
  const partnerPicker = picker({ control: "against", caption: "Rate against", move: (i) => choose({ against: PARTNERS[i] }), signal });
  const legend = make("ul", { class: "lr-legend" });
  const [plane, costs, spectrum] = ["plane", "costs", "spectrum"].map((name) => betaView(name));
  const readings = betaView("readings", { class: "lr-timed" });
  readings.node.prepend(legend);
  const missing = make("p", { class: "lr-hint", "data-missing": true });
  const countWrong = make("p", { class: "lr-hint", "data-wrong": true });
  plane.node.append(countWrong, missing);
  costs.node.prepend(partnerPicker.node);
  spectrum.node.prepend(spectrumPicker.node);
  const { table, show: showCosts } = costTable(models);
  const ranks = readingTable({ models, toggle, signal });
  const output = make("p", { "data-output": true, "aria-live": "polite", class: "lr-output" });
  const root = make(
    "div",
    { class: "lr-figure lr-beta", id, "data-figure": "BetaDial", role: "group", "aria-label": model.get("title") },
    make("p", { class: "lr-title" }, model.get("title")),
    make("div", { class: "lr-beta-controls" }, make("div", { class: "lr-with-button" }, play, betaSlider.node), make("div", { class: "lr-with-button" }, seedPicker.node, reset)),
    make("div", { class: "lr-beta-views" }, plane.node, costs.node, spectrum.node, readings.node),
    ranks.node,
    table,
    output,
  );
  keepLetters(root, signal);
  el.append(root);
  let drawn = { places: betas.map(() => 0), nearestCost: () => null }; // known after the first drawing

  const showControls = ({ b, beta, s, k, against }) => {
    betaSlider.show(b, betas.length, beta);
    seedPicker.show(s + 1, seedNames);
    seedPicker.node.hidden = facts.seeds.length < 2;
    spectrumPicker.show(k, facts.spectra.map(({ title }) => title));
    spectrumPicker.node.hidden = !facts.spectra.length;
    partnerPicker.show(PARTNERS.indexOf(against), ["distortion", "test error"]);
  };

  const showPlane = ({ b, beta }) => {
    const found = facts.planes[b];
    const any = facts.planes.some(Boolean);
    plane.svg.style.display = found ? "" : "none";
    plane.heading.replaceChildren(make("strong", {}, "A code of two numbers"), ...(found ? [`: ${found.count} test images at their mean codes, over the classes that the decoder names; dotted: radius 1`] : []));
    missing.textContent = found ? "" : any ? `No code of two numbers is stored at β = ${beta}.` : "No code of two numbers is stored.";
    countWrong.textContent = "";
    if (!found) return;
    drawPlane(plane.svg, { models, b, width: widthOf(plane), id });
    const numbers = [found.error === null ? null : `test error ${percent(found.error)}`, found.rate === null ? null : `rate ${threeDigits(found.rate)} nats`].filter(Boolean);
    countWrong.textContent = `${found.wrong} of ${found.count} lie where the decoder names another class (underlined). Ellipses: the encoder's noise, one standard deviation, mean of a class. This model (seed ${found.seed})${numbers.length ? `: ${numbers.join(", ")}` : ""}.`;
    plane.svg.setAttribute("aria-label", `${found.count} test images in the plane of the code at β = ${beta}; ${found.wrong} lie in the region of another class`);
  };

  const widthOf = ({ node }) => Math.round(node.getBoundingClientRect().width);

  const draw = () => {
    const width = Math.round(root.getBoundingClientRect().width);
    if (!width) return; // not in the document yet: the observer calls again
    const state = now();
    showControls(state);
    const { beta } = state;
    const context = { models, state };
    showPlane(state);
    const height = width < 520 ? 230 : 300;
    const nearestCost = drawCosts(costs.svg, { ...context, width: widthOf(costs), height });
    drawSpectrum(spectrum.svg, { ...context, width: widthOf(spectrum), height });
    const places = drawReadings(readings.svg, { ...context, width: widthOf(readings), height });
    drawn = { places, nearestCost };
    const { code } = facts.shape;
    const over = state.seeds.length > 1 ? `mean of ${state.seeds.length} seeds; band: lowest to highest` : `seed ${facts.seeds[state.seeds[0]]}`;
    costs.heading.replaceChildren(make("strong", {}, `What it costs, K = ${code}`), `: a dot for each β and seed, the line through their means${facts.classes && state.against === "distortion" ? `; dashed: ln ${facts.classes} − R, the least D if classes are equally frequent` : ""}`);
    const title = facts.spectra[state.k]?.title ?? "spectrum";
    spectrum.heading.replaceChildren(make("strong", {}, `Spectrum, K = ${code}`), `, ${over}; lines across: thresholds`);
    readings.heading.replaceChildren(make("strong", {}, `Readings of rank, K = ${code}`), `, ${over}; linear near 0, logarithmic above`);
    legend.replaceChildren(...readingLegend(models, state));
    ranks.show(state);
    showCosts(state);
    const words = modelWords(models, state);
    output.textContent = words;
    costs.svg.setAttribute("aria-label", `Rate against ${state.against.replace("_", " ")} for ${betas.length} values of β, with β = ${beta} marked`);
    spectrum.svg.setAttribute("aria-label", `${title} against their index at β = ${beta}`);
    readings.svg.setAttribute("aria-label", `${state.on.length} readings of rank against β, with β = ${beta} marked`);
    root.dataset.ready = "true";
  };

  const player = playback(play, {
    advance: () => choose({ beta: betas[(now().b + 1) % betas.length] }),
    atEnd: () => now().b === betas.length - 1,
    pause: 600,
    name: "Turn β up",
  });
  const turnTo = (place) => {
    player.stop();
    if (place !== null) choose({ beta: betas[place] });
  };
  draggable(readings.svg, readings.svg, (x) => turnTo(nearest(drawn.places, x)), signal);
  draggable(costs.svg, costs.svg, (x, y) => turnTo(drawn.nearestCost(x, y)), signal);
  const startAgain = () => {
    player.stop();
    choose({ ...facts.start });
  };
  play.addEventListener("click", player.toggle, { signal });
  reset.addEventListener("click", startAgain, { signal });
  const stopDrawing = keepDrawn({ model, root, traits: ["beta", "seed", "spectrum", "readings", "against"], draw });

  return () => {
    player.stop();
    stopDrawing();
    life.abort();
    root.remove();
  };
}

export default { render };
