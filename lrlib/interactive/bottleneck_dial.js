// BottleneckDial: directions of X switch on in the optimal Gaussian encoder as β is turned up.

/** The directions in a table that a screen reader can walk through; the last row is their sum. */
function directionTable() {
  const names = ["i", "ρ", "critical β", "read late by", "σ now", "state", "nats of X", "nats about Y"];
  const head = make("tr", {}, names.map((text) => make("th", { scope: "col" }, text)));
  const [body, foot] = [make("tbody"), make("tfoot")];
  const when = make("span", { class: "lr-nowrap" });
  const table = make("table", { class: "lr-dial-table" }, make("caption", {}, "Every direction ", when), make("thead", {}, head), body, foot);
  const cell = (name, text) => make("td", { [`data-${name}`]: true }, text);
  const show = (facts, { rows, rank, informationAt }, beta) => {
    const swatch = (i) => make("svg", { width: 22, height: 10, "aria-hidden": "true" }, styledLine(facts, i, "M0 5L22 5"));
    const line = (row, i) => [
      make("th", { scope: "row" }, swatch(i), String(i + 1)),
      cell("rho", String(row.rho)),
      cell("critical", criticalText(row.critical)),
      cell("late", lateText(row)),
      cell("sigma", row.sigma ? digits(row.sigma, 3) : "0"),
      cell("state", stateText(row)),
      cell("x", row.x.toFixed(3)),
      cell("y", row.y.toFixed(3)),
    ];
    const [x, y] = informationAt(beta).map((nats) => nats.toFixed(3));
    const total = [make("th", { scope: "row", colspan: 5 }, "together"), cell("rank", `rank ${rank}`), cell("i-xt", x), cell("i-ty", y)];
    when.textContent = `at β = ${beta}`;
    body.replaceChildren(...rows.map((row, i) => make("tr", {}, line(row, i))));
    foot.replaceChildren(make("tr", {}, total));
  };
  return { table, show };
}

/** A plot under its heading. Returns the parts: node, heading, svg. */
function view(name, attributes = {}, ...children) {
  const svg = make("svg", { "data-plot": name, role: "img", ...attributes }, ...children);
  const heading = make("p", { class: "lr-heading" });
  return { node: make("div", {}, heading, svg), heading, svg };
}

/** Two lists that say which directions the ellipse shows: across, and up. A choice of both at once swaps them. */
function pairPickers(changed, signal) {
  const pair = [0, 1];
  const pick = (k) => (i) => {
    if (pair[1 - k] === i) pair[1 - k] = pair[k];
    pair[k] = i;
    changed();
  };
  const lists = ["across", "up"].map((control, k) => picker({ control, caption: k ? "Up" : "Across", move: pick(k), signal }));
  const node = make("div", { class: "lr-pair" }, lists.map((list) => list.node));
  /** The pair among n directions: one that is gone gives way to the first that is not yet shown. */
  const among = (n) => {
    pair.forEach((i, k) => {
      if (i >= n) pair[k] = [0, 1].find((free) => free !== pair[1 - k]);
    });
    const names = Array.from({ length: n }, (_, i) => `direction ${i + 1}`);
    node.hidden = n < 3;
    lists.forEach((list, k) => list.show(pair[k], names));
    return n > 1 ? pair : [0];
  };
  return { node, among, reset: () => pair.splice(0, 2, 0, 1) };
}

async function render({ model, el }) {
  const facts = model.get("facts");
  const life = new AbortController(); // aborting it removes every listener made below
  const { signal } = life;
  const id = freeId(model.get("label"));
  const choose = setterOf(model);
  const { betas, thresholds, correlations: grid, presets, most, added } = facts;
  const rhos = () => model.get("correlations");
  const betaSlider = slider({ control: "beta", caption: "β", move: (place) => turnTo(place), signal });
  const epsSlider = slider({ control: "eps", caption: "Threshold ε", move: (place) => choose({ eps: thresholds[place] }), signal });
  const moveRho = (i) => (place) => choose({ correlations: rhos().map((rho, k) => (k === i ? grid[place] : rho)) });
  const rhoSliders = Array.from({ length: most }, (_, i) =>
    slider({ control: `rho-${i + 1}`, caption: `ρ${subscript(i + 1)}`, move: moveRho(i), signal }),
  );
  const button = (control, text) => make("button", { type: "button", class: text ? "lr-wide" : null, "data-control": control }, text ?? "");
  const [play, reset] = [button("play"), button("reset", "Reset")];
  const [add, remove] = [button("add", "Add a direction"), button("remove", "Remove the last")];
  const relative = make("input", { type: "checkbox", "data-control": "relative" });
  const preset = picker({ control: "preset", caption: "Correlations of X with Y", move: (i) => presets[i] && choose({ correlations: presets[i].correlations }), signal });
  const grip = make("g", { class: "lr-grip" }, make("rect", {}), make("circle", { r: 5 }));
  const sigmas = view("sigmas", { class: "lr-timed" }, make("g"), grip);
  const ranks = view("ranks", { class: "lr-timed" });
  const information = view("information", { class: "lr-timed" });
  const ellipse = view("ellipse");
  const pair = pairPickers(() => draw(), signal);
  const readout = make("p", { class: "lr-readout", "data-unknown": true });
  const note = make("p", { class: "lr-note", "data-note": true });
  const { table, show: showTable } = directionTable();
  const output = make("p", { "data-output": true, "aria-live": "polite", class: "lr-output" });
  ellipse.node.append(readout, pair.node);
  const root = make(
    "div",
    { class: "lr-figure", id, "data-figure": "BottleneckDial", role: "group", "aria-label": model.get("title") },
    make("p", { class: "lr-title" }, model.get("title")),
    make(
      "div",
      { class: "lr-controls lr-dial" },
      make("div", { class: "lr-with-button" }, play, betaSlider.node, reset),
      make("div", { class: "lr-with-button" }, epsSlider.node, make("label", { class: "lr-check" }, relative, make("span", {}, "relative to largest"))),
    ),
    make("div", { class: "lr-row lr-channel" }, preset.node, make("div", { class: "lr-with-button" }, add, remove)),
    make("div", { class: "lr-rhos" }, rhoSliders.map(({ node }) => node)),
    sigmas.node,
    ranks.node,
    note,
    make("div", { class: "lr-pictures" }, information.node, ellipse.node),
    table,
    output,
  );
  keepLetters(root, signal);
  el.append(root);

  const onLog = (places, value) => nearest(places.map(Math.log), Math.log(Math.max(value, places[0])));
  const now = () => {
    const [b, e] = [onLog(betas, model.get("beta")), onLog(thresholds, model.get("eps"))];
    return { b, e, beta: betas[b], eps: thresholds[e], relative: model.get("relative"), correlations: rhos() };
  };
  let drawn = null; // what is drawn where; known after the first drawing

  const showControls = (chosen) => {
    const { correlations: own } = chosen;
    betaSlider.show(chosen.b, betas.length, String(chosen.beta));
    epsSlider.show(chosen.e, thresholds.length, String(chosen.eps));
    relative.checked = chosen.relative;
    rhoSliders.forEach(({ node, show }, i) => {
      node.hidden = i >= own.length;
      if (i < own.length) show(nearest(grid, own[i]), grid.length, String(own[i]));
    });
    add.setAttribute("aria-disabled", own.length === most);
    remove.setAttribute("aria-disabled", own.length === 1);
    const known = presets.findIndex(({ correlations }) => correlations.join() === own.join());
    const names = presets.map(({ name }) => name);
    preset.show(known < 0 ? names.length : known, known < 0 ? [...names, "your own"] : names);
  };

  const draw = () => {
    const widthOf = ({ svg }) => Math.round(svg.parentNode.getBoundingClientRect().width);
    const width = widthOf(sigmas);
    if (!width) return; // not in the document yet: the observer calls again
    const chosen = now();
    showControls(chosen);
    const found = solve(chosen);
    const n = found.rows.length;
    const context = { facts, found, chosen, width };
    const narrow = width < 520;
    const shown = pair.among(n);
    drawn = {
      ...drawSigmas(sigmas.svg, grip, { ...context, height: narrow ? 210 : 250 }),
      ...{ ranks: drawStairs(ranks.svg, { ...context, height: narrow ? 130 : 150 }) },
      keptAt: drawInformation(information.svg, { ...context, width: widthOf(information), height: narrow ? 240 : 290 }),
    };
    readout.textContent = drawEllipse(ellipse.svg, { ...context, pair: shown, width: widthOf(ellipse) }).join(", ");
    const condition = chosen.relative ? `σ > ${chosen.eps} × the largest` : `σ > ${chosen.eps}`;
    const at = `at β = ${chosen.beta}`;
    const [x, y] = found.informationAt(chosen.beta).map((nats) => nats.toFixed(3));
    sigmas.heading.replaceChildren(make("strong", {}, "Singular values σ", make("sub", {}, "i"), " of the encoder"), " against β: linear near 0, logarithmic above; dotted: critical β");
    ranks.heading.replaceChildren(
      make("strong", {}, `Rank ${found.rank} of ${n}`),
      make("span", { class: "lr-key lr-key-rank" }),
      make("strong", {}, `count ${found.count}`),
      ` of ${condition}`,
      make("span", { class: "lr-key lr-key-count" }),
      make("span", { class: "lr-nowrap" }, at),
    );
    information.heading.replaceChildren(make("strong", {}, `I(T;Y) = ${y}`), ` for I(X;T) = ${x} nats; shaded: out of reach; slope: 1/β`);
    ellipse.heading.replaceChildren(make("strong", {}, "What T leaves unknown of X"), ": one standard deviation, before (outline) and after");
    note.textContent = inWords(found, condition, betas.at(-1));
    showTable(facts, found, chosen.beta);
    output.textContent = `β ${chosen.beta}: rank ${found.rank} of ${n}, ${found.count} counted by ${condition}. I(X;T) ${x} nats, I(T;Y) ${y} nats. ${note.textContent}`;
    sigmas.svg.setAttribute("aria-label", `Singular values of ${n} directions against β, ${condition}, ${at}`);
    ranks.svg.setAttribute("aria-label", `Exact rank ${found.rank} and count ${found.count} against β, ${at}`);
    information.svg.setAttribute("aria-label", `Information curve: I(X;T) ${x}, I(T;Y) ${y} nats ${at}`);
    ellipse.svg.setAttribute("aria-label", `What is left unknown, in standard deviations: ${readout.textContent}`);
    root.dataset.ready = "true";
  };

  const player = playback(play, {
    advance: () => choose({ beta: betas[(now().b + 1) % betas.length] }),
    atEnd: () => now().b === betas.length - 1,
    pause: 40,
    name: "Turn β up",
  });
  const turnTo = (place) => {
    player.stop();
    choose({ beta: betas[place] });
  };
  [sigmas.svg, ranks.svg].forEach((svg) => draggable(svg, svg, (x) => turnTo(onLog(betas, 10 ** drawn.logAt(x))), signal));
  const alongCurve = (x) => {
    const { informationAt } = solve(now());
    turnTo(nearest(betas.map((beta) => informationAt(beta)[0]), drawn.keptAt(x)));
  };
  draggable(information.svg, information.svg, alongCurve, signal);
  grip.addEventListener("pointerdown", (event) => event.stopPropagation(), { signal }); // it moves ε, not β
  draggable(grip, sigmas.svg, (_, y) => choose({ eps: thresholds[onLog(thresholds, drawn.epsAt(y))] }), signal);
  const listen = (node, event, heard) => node.addEventListener(event, heard, { signal });
  listen(play, "click", player.toggle);
  listen(relative, "change", () => choose({ relative: relative.checked }));
  listen(add, "click", () => rhos().length < most && choose({ correlations: [...rhos(), added] }));
  listen(remove, "click", () => rhos().length > 1 && choose({ correlations: rhos().slice(0, -1) }));
  const startAgain = () => {
    player.stop();
    pair.reset();
    choose(facts.first);
  };
  listen(reset, "click", startAgain);
  const stopDrawing = keepDrawn({ model, root, traits: ["correlations", "beta", "eps", "relative"], draw });

  return () => {
    player.stop();
    stopDrawing();
    life.abort();
    root.remove();
  };
}

export default { render };
