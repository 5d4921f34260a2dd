// AnnealedClusters: the clusters of an information bottleneck over β, what they hold and predict, and what T keeps.
// The pictures are in cluster_plots.js; here are the words, the controls and the table.

const PAUSE = 110; // milliseconds from one β to the next while it plays
const SOFT = 0.995; // an object of which the cluster has less than this share is listed with the share
const MANY = 3; // outcomes that the table lists for a cluster; of more than that, the likeliest two

const digits = (value) => Math.max(0, value).toFixed(3); // rounding makes a zero of some e-17, of either sign
const betaText = (beta) => String(Number(beta.toPrecision(4)));

function counted(n, noun) {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** What a cluster predicts, likeliest outcome first. */
function predictionText(table, prediction) {
  const order = prediction.map((_, j) => j).sort((a, b) => prediction[b] - prediction[a] || a - b);
  const told = order.length > MANY ? order.slice(0, MANY - 1) : order;
  return told.map((j) => `${table.outcomes[j]}\u00a0${digits(prediction[j])}`).join(", ") + (order.length > MANY ? ",\u00a0…" : "");
}

/** The members of each cluster: objects that it holds more of than any other does. */
function membersOf(table, clusters) {
  const members = clusters.map(() => []);
  table.names.forEach((name, x) => {
    const shares = clusters.map(({ encoder }) => encoder[x]);
    const k = shares.indexOf(Math.max(...shares));
    members[k].push(shares[k] < SOFT ? `${name} (${shares[k].toFixed(2)})` : name);
  });
  return members.map((names) => (names.length ? names.join(", ") : "none"));
}

/** The state in a sentence, and what comes next. */
function stateText(table, place, clusters) {
  const beta = table.betas[place];
  const kept = table.most > 1e-12 ? ` (${((100 * table.ty[place]) / table.most).toFixed(1)} %)` : "";
  const next = table.critical.find((critical) => critical > beta);
  const words = [
    `${counted(clusters.length, "cluster")} at β = ${betaText(beta)}.`,
    `T costs I(X;T) = ${digits(table.xt[place])} nats and keeps I(T;Y) = ${digits(table.ty[place])} of ${digits(table.most)}${kept}.`,
    next ? `Next split at β = ${next.toPrecision(3)}.` : `No split above this β, up to ${betaText(table.betas.at(-1))}.`,
  ];
  const loose = table.loose[place];
  if (loose !== undefined) words.push(`Not converged here: one more update changes q(t|x) by up to ${loose.toExponential(0).replace("-", "\u2212")}.`);
  return words.join(" ");
}

/** The clusters in a table that a screen reader can walk through. */
function clusterTable(facts) {
  const caption = make("caption");
  const body = make("tbody");
  const head = ["cluster", "mass q(t)", "predicts q(y|t)", "objects of which it has the largest share (if not all)"];
  const row = (axis, { mass, height }, k, predicts, members) => {
    const swatch = make("span", { class: "lr-swatch", style: `background: ${blend(facts, axis.share(height))}`, "aria-hidden": "true" });
    const cells = { "data-mass": digits(mass), "data-predicts": predicts, "data-members": members };
    return make("tr", {}, make("th", { scope: "row" }, swatch, String(k + 1)), ...Object.entries(cells).map(([name, text]) => make("td", { [name]: true }, text)));
  };
  const show = ({ table, axis, place, clusters }) => {
    const members = membersOf(table, clusters);
    const predicts = clusters.map(({ prediction }) => predictionText(table, prediction));
    caption.textContent = `The clusters at β = ${betaText(table.betas[place])}, numbered from the top of the tree`;
    body.replaceChildren(...clusters.map((cluster, k) => row(axis, cluster, k, predicts[k], members[k])));
    return clusters.map(({ mass }, k) => `Cluster ${k + 1}, mass ${digits(mass)}, predicts ${predicts[k]}: ${members[k]}.`).join(" ");
  };
  const columns = make("tr", {}, head.map((text) => make("th", { scope: "col" }, text)));
  return { node: make("table", { class: "lr-clusters" }, caption, make("thead", {}, columns), body), show };
}

async function render({ model, el }) {
  const facts = model.get("facts");
  const tables = await readTables(model);
  const life = new AbortController(); // aborting it removes every listener made below
  const { signal } = life;
  const id = freeId(model.get("label"));
  const choose = setterOf(model);

  const axes = (table) => [null, ...table.outcomes];
  /** The outcome that is chosen, or the table's own first choice where it has none of that name. */
  const outcomeIn = (table) => (axes(table).includes(model.get("outcome")) ? model.get("outcome") : table.outcome);
  const now = () => {
    const table = tables.find(({ title }) => title === model.get("table"));
    const outcome = outcomeIn(table);
    const axis = axisOf(table, outcome);
    const place = nearest(table.logs, Math.log10(model.get("beta")));
    return { table, outcome, axis, place, clusters: numbered(table, axis, place) };
  };
  const goTo = (place) => {
    player.stop();
    choose({ beta: now().table.betas[place] });
  };
  const chooseTable = (g) => {
    player.stop();
    const { title, logs, betas } = tables[g];
    const beta = betas[nearest(logs, Math.log10(model.get("beta")))];
    choose({ table: title, outcome: outcomeIn(tables[g]), beta });
  };
  /** The nearest place before or after this one at which the clusters are not those of the place before it. */
  const split = (direction) => {
    const { table, place } = now();
    const places = [...table.births, ...table.deaths].map(([when]) => when).filter((when) => (when - place) * direction > 0);
    return places.length ? (direction > 0 ? Math.min(...places) : Math.max(...places)) : null;
  };

  const which = picker({ control: "table", caption: "Table", move: chooseTable, signal });
  const upwards = picker({ control: "outcome", caption: "Drawn upwards", move: (a) => choose({ outcome: axes(now().table)[a] }), signal });
  const beta = slider({ control: "beta", caption: "β", move: goTo, signal });
  const play = make("button", { type: "button", "data-control": "play" });
  const button = (control, text, press) => {
    const node = make("button", { type: "button", class: "lr-wide", "data-control": control }, text);
    node.addEventListener("click", press, { signal });
    return node;
  };
  const jump = (direction) => () => split(direction) !== null && goTo(split(direction));
  const [previous, next] = [button("previous", "◂ Split", jump(-1)), button("next", "Split ▸", jump(1))];
  previous.setAttribute("aria-label", "Previous split");
  next.setAttribute("aria-label", "Next split");
  const reset = button("reset", "Reset", () => {
    player.stop();
    choose(facts.first);
  });
  const plot = (name, classes = null) => make("svg", { "data-plot": name, role: "img", class: classes });
  const [treeSvg, plane, encoder] = [plot("tree", "lr-timed"), plot("plane"), plot("encoder")];
  const heading = (...children) => make("p", { class: "lr-heading" }, ...children);
  const strong = (text) => make("strong", {}, text);
  const treeHeading = heading();
  const summary = make("p", { class: "lr-readout", "data-summary": true });
  const clusterRows = clusterTable(facts);
  const output = make("p", { "data-output": true, "aria-live": "polite", class: "lr-output" });
  const choices = make("div", { class: "lr-choices" }, which.node, upwards.node);
  const root = make(
    "div",
    { class: "lr-figure", id, "data-figure": "AnnealedClusters", role: "group", "aria-label": model.get("title") },
    make("p", { class: "lr-title" }, model.get("title")),
    choices,
    make("div", { class: "lr-annealing" }, make("div", { class: "lr-with-button" }, play, beta.node), make("div", { class: "lr-jumps" }, previous, next, reset)),
    summary,
    treeHeading,
    treeSvg,
    make(
      "div",
      { class: "lr-halves" },
      make("div", {}, heading(strong("I(T;Y) against I(X;T)"), ": the path, its point and tangent of slope 1/β; shaded: out of reach"), make("div", {}, plane)),
      make("div", {}, heading(strong("Encoder q(t|x)"), ": of each object, how much goes to each cluster"), make("div", {}, encoder)),
    ),
    clusterRows.node,
    output,
  );
  keepLetters(root, signal);
  el.append(root);
  const tree = treePlot(treeSvg, facts);

  const draw = () => {
    const width = Math.round(treeSvg.getBoundingClientRect().width);
    if (!width) return; // not in the document yet: the observer calls again
    const state = { ...now(), width, facts, id };
    const { table, outcome, axis, place, clusters } = state;
    which.show(tables.indexOf(table), tables.map(({ title }) => title));
    upwards.show(axes(table).indexOf(outcome), axes(table).map((name) => (name === null ? "main axis of p(y|x)" : `P(${name})`)));
    which.node.hidden = tables.length === 1;
    upwards.node.hidden = table.outcomes.length < 3; // of two outcomes, the second says all
    choices.hidden = which.node.hidden && upwards.node.hidden;
    beta.show(place, table.betas.length, betaText(table.betas[place]));
    [previous, next].forEach((node, i) => node.setAttribute("aria-disabled", split(2 * i - 1) === null));
    treeHeading.replaceChildren(strong(`What each cluster predicts: ${axis.name}`), `${axis.aside}; width: its mass; dotted: critical β; right: the objects' own`);
    tree.show(state);
    drawPlane(plane, state);
    drawEncoder(encoder, state);
    const rows = clusterRows.show(state);
    summary.textContent = stateText(table, place, clusters);
    output.textContent = `${summary.textContent} ${rows}`;
    treeSvg.setAttribute("aria-label", `Tree of clusters over β, ${axis.name} upwards: ${counted(clusters.length, "cluster")} at β = ${betaText(table.betas[place])}`);
    plane.setAttribute("aria-label", `Information plane: I(X;T) = ${digits(table.xt[place])}, I(T;Y) = ${digits(table.ty[place])} nats`);
    encoder.setAttribute("aria-label", `Encoder: how ${counted(table.names.length, "object")} go to ${counted(clusters.length, "cluster")}`);
    root.dataset.ready = "true";
  };

  const player = playback(play, {
    advance: () => {
      const { table, place } = now();
      choose({ beta: table.betas[(place + 1) % table.betas.length] });
    },
    atEnd: () => now().place === now().table.betas.length - 1,
    pause: PAUSE,
    name: "Raise β",
  });
  play.addEventListener("click", player.toggle, { signal });
  draggable(treeSvg, treeSvg, (x) => goTo(nearest(now().table.logs, tree.logBetaAt(x))), signal);
  const stopDrawing = keepDrawn({ model, root, traits: ["table", "beta", "outcome"], draw });

  return () => {
    player.stop();
    stopDrawing();
    life.abort();
    root.remove();
  };
}

export default { render };
