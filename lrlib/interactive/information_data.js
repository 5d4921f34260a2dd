// What Python sent to InformationPlane, looked up: settings that are stored, numbers, and their words. Means over
// seeds come from Python; the page finds the lowest and the highest seed.

const PLANE_SETTINGS = ["task", "variant", "seed", "estimator", "noise", "scale", "reading", "eps", "vertical", "step"];

/** The values that a setting has in a task, given those before it; none where it does not matter. */
function planeChoices(task, name, settings) {
  const options = task.options.filter(({ estimator }) => estimator === settings.estimator);
  const v = task.variants.indexOf(settings.variant);
  const found = {
    variant: () => task.variants,
    seed: () => (task.seedsOf[v].length > 1 ? ["mean", ...task.seedsOf[v]] : task.seedsOf[v]),
    estimator: () => task.options.map(({ estimator }) => estimator),
    noise: () => options.flatMap(({ noise }) => (noise ? [noise] : [])),
    scale: () => options.flatMap(({ noise, scale }) => (noise && noise === settings.noise ? [scale] : [])),
    reading: () => task.ranks.map(({ reading }) => reading),
    eps: () => task.ranks.flatMap(({ reading, eps }) => (eps !== null && reading === settings.reading ? [eps] : [])),
    vertical: () => task.verticals.map((vertical) => vertical.name),
    step: () => task.stepsOf[v].map((t) => task.steps[t]),
  }[name];
  return [...new Set(found())];
}

/** The place of the number nearest to this one: steps by their difference, others by their ratio. */
function nearestSetting(name, values, wanted) {
  return name === "step" ? nearest(values, wanted) : nearest(values.map(Math.log), Math.log(wanted));
}

/** Settings that are stored: those wanted, or the nearest numbers, or else the default (information_page.settled). */
function settledPlane(facts, wanted) {
  const task = facts.tasks.find(({ name }) => name === wanted.task) ?? facts.tasks[0];
  const settings = { task: task.name };
  const first = (name, values) => {
    if (!values.length) return wanted[name];
    if (name === "eps") return values[nearestSetting("eps", values, 0.1)];
    return ["variant", "scale", "step"].includes(name) ? values.at(-1) : values[0];
  };
  for (const name of PLANE_SETTINGS.slice(1)) {
    const values = planeChoices(task, name, settings);
    if (values.includes(wanted[name])) settings[name] = wanted[name];
    else if (values.length && ["scale", "eps", "step"].includes(name)) settings[name] = values[nearestSetting(name, values, wanted[name])];
    else settings[name] = first(name, values);
  }
  return settings;
}

/** The numbers of all tasks: `find` has what is stored at a place, { value, open }, or null. */
async function readPlanes(model) {
  const facts = model.get("facts");
  const codes = await unpack(model, "values", Uint32Array);
  let next = 0;
  const starts = facts.tasks.map(({ variants, seeds, columns, layers, steps }) => {
    const start = next;
    next += variants.length * (1 + seeds.length) * columns * layers.length * steps.length;
    return start;
  });
  const find = (k, v, c, column, l, t) => {
    const { seeds, columns, layers, steps, digits } = facts.tasks[k];
    const at = (((v * (1 + seeds.length) + c) * columns + column) * layers.length + l) * steps.length + t;
    const code = codes[starts[k] + at];
    if (!code) return null;
    return { value: (Math.floor((code - 1) / 2) - facts.offset) / 10 ** digits[column], open: (code - 1) % 2 === 1 };
  };
  return { facts, find };
}

/** What is chosen now, as places in what Python sent; `shown` are the task's layers that are on. */
function planeState({ facts }, model) {
  const settings = settledPlane(facts, Object.fromEntries(PLANE_SETTINGS.map((name) => [name, model.get(name)])));
  const k = facts.tasks.findIndex(({ name }) => name === settings.task);
  const task = facts.tasks[k];
  const v = task.variants.indexOf(settings.variant);
  const options = task.options.filter(({ estimator }) => estimator === settings.estimator);
  const option = options.find(({ noise, scale }) => noise === settings.noise && scale === settings.scale) ?? options[0];
  const ranks = task.ranks.filter(({ reading }) => reading === settings.reading);
  const rank = ranks.find(({ eps }) => eps === settings.eps) ?? ranks[0];
  const vertical = task.verticals.find(({ name }) => name === settings.vertical) ?? null;
  const own = task.stepsOf[v]; // the places of this variant's steps among those of the task
  const t = task.steps.indexOf(settings.step);
  const wanted = new Set(model.get("layers"));
  const shown = task.layers.flatMap((name, l) => (wanted.has(name) ? [l] : []));
  const c = settings.seed === "mean" ? 0 : 1 + task.seeds.indexOf(settings.seed);
  return { settings, task, k, v, c, options, option, ranks, rank, vertical, own, at: own.indexOf(t), t, shown };
}

/** A quantity of a layer at a step: { value, low, high, open, saturated, seeds }, low and high over seeds; or null. */
function planeNumber({ find }, { k, v, c, task }, column, l, t) {
  const found = find(k, v, c, column, l, t);
  if (!found) return null;
  const choices = c ? [c] : task.seedsOf[v].map((seed) => 1 + task.seeds.indexOf(seed));
  const each = choices.map((choice) => find(k, v, choice, column, l, t));
  const values = each.map(({ value }) => value); // a mean is there only if all of them are
  return { ...found, low: Math.min(...values), high: Math.max(...values), saturated: each.filter(({ open }) => open).length, seeds: each.length };
}

/** The left plane's height: of the layer's information about the label, or of the network; or null. */
function verticalNumber(data, state, l, t) {
  const { vertical, task, v, c } = state;
  if (!vertical) return null;
  if (vertical.column !== null) return planeNumber(data, state, vertical.column, l, t);
  const numbers = task.network[vertical.name][v];
  if (numbers[c][t] === null) return null;
  const values = (c ? [c] : task.seedsOf[v].map((seed) => 1 + task.seeds.indexOf(seed))).map((choice) => numbers[choice][t]);
  return { value: numbers[c][t], low: Math.min(...values), high: Math.max(...values) };
}

/** All of a layer at a step: its information (the upper end too, if there is one), its rank, its height in the left plane. */
function layerAt(data, state, l, t) {
  const { option, rank } = state;
  return {
    l,
    t,
    information: planeNumber(data, state, option.point, l, t),
    upper: option.upper === null ? null : planeNumber(data, state, option.upper, l, t),
    rank: planeNumber(data, state, rank.column, l, t),
    vertical: verticalNumber(data, state, l, t),
  };
}

const natsText = (found) => (found ? found.value.toFixed(3) : "–").replace("-", "\u2212");
const rankText = (found) => (found ? found.value.toFixed(2) : "–");

/** The left plane's height in words: nats have three decimals, others four significant digits. */
function heightText({ vertical }, found) {
  if (!found) return "–";
  return vertical.column === null ? String(found.value) : natsText(found);
}

/** How often a point is saturated: yes or no of one seed, how many of several; nothing where there is no cap. */
function saturatedText(found, cap) {
  if (!found || cap === null) return "–";
  return found.seeds > 1 ? `${found.saturated} of ${found.seeds}` : found.saturated ? "yes" : "no";
}

function seedText({ task, v, c }) {
  const seeds = task.seedsOf[v];
  return c ? `seed ${task.seeds[c - 1]}` : `mean over ${seeds.length} seeds`;
}

/** What is estimated and how: "KDE bounds, noise σ = 0.1 of the layer". */
function estimatorText({ option }) {
  return option.noise ? `${option.title}, noise ${option.text}` : option.title;
}

/** What is shown now, in a sentence for who does not see it. */
function planeWords(data, state) {
  const { task, shown, option, rank, vertical, t, settings } = state;
  const told = shown.map((l) => {
    const { information, upper, rank: counted, vertical: height } = layerAt(data, state, l, t);
    const to = upper ? ` to ${natsText(upper)}` : "";
    const full = information?.saturated ? `, saturated${information.seeds > 1 ? ` in ${saturatedText(information, 0)} seeds` : ""}` : "";
    const label = vertical && vertical.column !== null ? `, ${vertical.text} ${heightText(state, height)}` : "";
    return `${task.layers[l]} ${natsText(information)}${to} nats${full}, rank ${rankText(counted)}${label}`;
  });
  const network = vertical && vertical.column === null ? ` ${vertical.text} ${heightText(state, verticalNumber(data, state, 0, t))};` : "";
  const what = `${task.name}, ${settings.variant}, ${seedText(state)}, step ${task.steps[t]}:${network} I(X;T) by ${estimatorText(state)}, and rank (${rank.text})`;
  return `${what}: ${told.join("; ") || "no layer"}.${option.upper === null ? "" : " From the lower to the upper bound."}`;
}
