// SingularValueRace: the singular values of a deep linear network under gradient flow, and how many pass a threshold.
// Every number is computed here, from the differential equation of one mode; the tests hold them to lrlib.theory.

const FINE = 5; // points that are drawn from one place of the time slider to the next
const STEP_ERROR = 1e-11; // of one step of the integrator, in log a
const LEAST_STEP = 1e-8; // of the way to the next place: rounding must not stop the integrator
const ARRIVED = 1e-10; // a mode so close to its end, in log a, is put there: what is left of the way is stiff
const RESTING = 1e-9; // a mode so slow in log a has no way to go: every one that has is faster, by far

/** d(log a)/dt for a = σ^(1/L), as a function of u = log a: the flow a' = a^(L-1) (s - a^L) - λ a divided by a. */
function growth(s, { depth, decay }) {
  const push = s ? (u) => s * Math.exp((depth - 2) * u) : () => 0;
  return (u) => push(u) - Math.exp((2 * depth - 2) * u) - decay;
}

/** The σ to which a mode tends. From depth 3 on, weight decay can keep a mode at 0 that starts too small. */
function endOf(s, { depth, start, decay }) {
  if (s === 0 || decay === 0) return s;
  if (depth === 1) return s / (1 + decay);
  if (depth === 2) return Math.max(0, s - decay);
  const rate = growth(s, { depth, decay });
  const first = Math.log(start) / depth;
  let low = Math.log((s * (depth - 2)) / (2 * depth - 2)) / depth; // where log a grows fastest
  let high = Math.log(s) / depth;
  if (rate(low) < 0 || (first < low && rate(first) < 0)) return 0;
  for (let halvings = 0; halvings < 60; halvings += 1) {
    const middle = (low + high) / 2;
    if (rate(middle) > 0) low = middle;
    else high = middle;
  }
  return Math.exp(depth * low);
}

/** One classical Runge-Kutta step of y' = slope(x, y). */
function rungeKutta(slope, x, y, h) {
  const k1 = slope(x, y);
  const k2 = slope(x + h / 2, y + (h / 2) * k1);
  const k3 = slope(x + h / 2, y + (h / 2) * k2);
  const k4 = slope(x + h, y + h * k3);
  return y + (h / 6) * (k1 + 2 * k2 + 2 * k3 + k4);
}

/**
 * y at increasing `places` > 0, from y(0) = `first`. Each step is done whole and in two halves: their difference
 * sets its length, and is extrapolated away. A y that has come to `end` stays there.
 */
function integrate(slope, first, places, end) {
  let [x, y, h] = [0, first, places[0]];
  return places.map((place) => {
    while (x < place) {
      if (Math.abs(y - end) < ARRIVED) [x, y] = [place, end];
      else {
        const stride = Math.min(h, place - x);
        const whole = rungeKutta(slope, x, y, stride);
        const halves = rungeKutta(slope, x + stride / 2, rungeKutta(slope, x, y, stride / 2), stride / 2);
        const error = Math.abs(halves - whole) / 15; // NaN where a step went far too wide
        if (error <= STEP_ERROR * Math.max(1, Math.abs(y)) || stride <= LEAST_STEP * place) {
          x = stride === place - x ? place : x + stride;
          y = halves + (halves - whole) / 15;
        }
        h = stride * (Math.max(0.2, Math.min(5, 0.9 * (STEP_ERROR / error) ** 0.2)) || 0.2);
      }
    }
    return y;
  });
}

/** A mode's σ at the times, where it ends, and when it passes half of that: 0 if it starts above, null if never. */
function runMode(s, times, settings) {
  const { depth, start } = settings;
  const rate = growth(s, settings);
  const first = Math.log(start) / depth;
  if (Math.abs(rate(first)) < RESTING) return { path: times.map(() => start), end: start, half: 0 };
  const end = endOf(s, settings);
  const logs = integrate((_, u) => rate(u), first, times, Math.log(end) / depth);
  const way = Math.log(end / 2) / depth - first;
  // the time to a given u is the integral of du / (du/dt), however long that takes
  const half = end === 0 ? null : way <= 0 ? 0 : integrate((x) => 1 / rate(first + x), 0, [way], Infinity)[0];
  return { path: logs.map((u) => Math.exp(depth * u)), end, half };
}

/** The slider's times with FINE - 1 more between neighbours, at equal ratios: what is drawn. */
function fineTimes(times) {
  const between = (t, i) => Array.from({ length: FINE }, (_, j) => t * (times[i + 1] / t) ** (j / FINE));
  return [...times.slice(0, -1).flatMap(between), times.at(-1)];
}

/** The race at these settings: its modes, and the count above eps at every time that is drawn. */
function runRace(facts, settings) {
  const times = fineTimes(facts.times);
  const modes = facts.target.map((s) => runMode(s, times, settings));
  const bar = (eps) => eps * (1 + facts.tie);
  return { times, modes, counts: (eps) => times.map((_, i) => modes.filter(({ path }) => path[i] > bar(eps)).length) };
}

const modeName = (i) => `σ${subscript(i + 1)}`;

/** A time to three digits. */
function timeText(t) {
  if (t < 999.5) return t.toPrecision(3);
  return t < 1e6 ? String(Number(t.toPrecision(3))) : t.toExponential(1).replace("e+", "e");
}

function halfText(half) {
  if (half === null) return "never";
  return half === 0 ? "at start" : timeText(half);
}

/** What the plots cannot show: what comes after their last time, and what never comes. */
function beyond(facts, { modes }) {
  const last = facts.times.at(-1);
  const wanted = (test) => modes.map((mode, i) => ({ ...mode, s: facts.target[i], name: modeName(i) })).filter(test);
  const names = (test) => listed(wanted(test).map(({ name }) => name));
  const late = wanted(({ half }) => half > last).map(({ name, half }) => `${name} (half way at t = ${timeText(half)})`);
  const lost = names(({ s, end }) => s > 0 && end === 0);
  const idle = names(({ s }) => s === 0);
  const latest = Math.max(...modes.map(({ half }) => half));
  const all = !late.length && !lost && !idle && latest > 0;
  return [
    late.length && `Not yet learned at t = ${last}: ${listed(late)}.`,
    lost && `Never learned: weight decay takes ${lost} to 0.`,
    idle && `With target 0 there is nothing to learn: ${idle} can only fall.`,
    all && `By t = ${timeText(latest)} the last mode is half learned.`,
  ]
    .filter(Boolean)
    .join(" ");
}

/** Where things stand in both plots, which share their time axis. */
function frame(facts, width) {
  const [left, right] = [36, width - 40];
  const [first, last] = [facts.times[0], facts.times.at(-1)].map(Math.log10);
  const along = scale(first, last, left, right - 6);
  const decades = [];
  for (let d = Math.ceil(first); d <= last; d += 1) decades.push(d);
  return { left, right, toX: (t) => along(Math.log10(t)), decades: decades.map((d) => [along(d), d]) };
}

/** Round numbers from 0 to `most` with room between their letters; powers of ten go first. */
function valueTicks(most, toY) {
  const kept = [0];
  for (const lead of [1, 2, 5, 4]) {
    for (let d = 2; d >= -4; d -= 1) {
      const value = Number(`${lead}e${d}`);
      if (value <= most && kept.every((other) => Math.abs(toY(other) - toY(value)) >= 16)) kept.push(value);
    }
  }
  return kept;
}

/** The lines behind a plot, and the time cursor before it. */
function backdrop({ left, right, decades }, { top, bottom, ticks, toY, cursor }) {
  return [
    ...decades.map(([x]) => make("line", { class: "lr-grid", x1: x, x2: x, y1: top, y2: bottom })),
    ...ticks.flatMap((value) => [
      make("line", { class: "lr-grid", x1: left, x2: right, y1: toY(value), y2: toY(value) }),
      say(left - 6, toY(value) + 4, String(value), { "text-anchor": "end" }),
    ]),
    make("line", { class: "lr-axis", x1: left, x2: right, y1: bottom, y2: bottom }),
    make("line", { class: "lr-cut", x1: cursor, x2: cursor, y1: top - 4, y2: bottom }),
  ];
}

/** Draw σ of every mode against time, strong above the threshold and faint below. Returns y -> σ. */
function drawPaths(svg, grip, { facts, race, state, id, width, height }) {
  const places = frame(facts, width);
  const { left, right, toX } = places;
  const [top, bottom] = [10, height - 6];
  const rooted = scale(0, Math.sqrt(facts.most), bottom, top); // the root gives small values and the threshold room
  const toY = (value) => rooted(Math.sqrt(value));
  const xs = race.times.map(toX);
  const [cursor, cut] = [toX(facts.times[state.t]), toY(state.eps)];
  const curves = () => race.modes.map(({ path: values }, i) => styledLine(facts, i, path(values.map((v, j) => [xs[j], toY(v)]))));
  const ends = race.modes.map(({ path: values }) => toY(values.at(-1)));
  const labels = spread(ends, 14, top, bottom);
  const clip = (name, from, to) =>
    make("clipPath", { id: `${id}-${name}` }, make("rect", { x: left, y: from, width: right - left, height: Math.max(0, to - from) }));
  const ticks = valueTicks(facts.most, toY);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.firstChild.replaceChildren(
    clip("above", 0, cut),
    clip("below", cut, height),
    ...backdrop(places, { top, bottom, ticks, toY, cursor }),
    ...facts.target.map((s) => make("line", { class: "lr-goal", x1: right - 6, x2: right + 4, y1: toY(s), y2: toY(s) })),
    make("g", { "clip-path": `url(#${id}-below)`, opacity: 0.5 }, curves()),
    make("g", { "clip-path": `url(#${id}-above)` }, curves()),
    make("line", { class: "lr-cut", x1: left, x2: right, y1: cut, y2: cut }),
    say(left + 4, cut - 4, "ε"),
    ...race.modes.flatMap(({ path: values }, i) => [
      make("circle", { cx: cursor, cy: toY(values[FINE * state.t]), r: 4.5, fill: colourOf(facts, i), class: "lr-dot" }),
      make("line", { class: "lr-lead", x1: right - 4, y1: ends[i], x2: right + 10, y2: labels[i] }),
      say(right + 13, labels[i] + 4, modeName(i)),
    ]),
  );
  const [hold, knob] = grip.children;
  const box = { x: left, y: cut - 14, width: right - left, height: 28 };
  Object.entries(box).forEach((pair) => hold.setAttribute(...pair));
  Object.entries({ cx: right - 16, cy: cut }).forEach((pair) => knob.setAttribute(...pair));
  const back = scale(bottom, top, 0, Math.sqrt(facts.most));
  return (y) => Math.max(0, back(y)) ** 2;
}

/** Draw the count above the threshold against time, as stairs. Returns x -> log10 of the time there. */
function drawCounts(svg, { facts, counts, race, state, width, height }) {
  const places = frame(facts, width);
  const [top, bottom] = [10, height - 38];
  const toY = scale(0, facts.target.length, bottom, top);
  const stairs = race.times.flatMap((t, i) => [
    ...(i ? [[places.toX(t), toY(counts[i - 1])]] : []),
    [places.toX(t), toY(counts[i])],
  ]);
  const cursor = places.toX(facts.times[state.t]);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.replaceChildren(
    ...backdrop(places, { top, bottom, ticks: rankTicks(facts.target.length), toY, cursor }),
    ...places.decades.flatMap(([x, d]) => [
      make("line", { class: "lr-axis", x1: x, x2: x, y1: bottom, y2: bottom + 4 }),
      say(x, bottom + 17, d < 4 ? String(Number(`1e${d}`)) : powerOfTen(d), { "text-anchor": "middle" }),
    ]),
    say((places.left + places.right) / 2, height - 4, "time t = learning rate × steps (log scale)", { "text-anchor": "middle" }),
    make("path", { class: "lr-line lr-stairs", d: path(stairs) }),
    make("circle", { cx: cursor, cy: toY(counts[FINE * state.t]), r: 4.5, class: "lr-dot lr-stairs-dot" }),
  );
  const [first, last] = [facts.times[0], facts.times.at(-1)].map(Math.log10);
  return scale(places.left, places.right - 6, first, last);
}

/** The modes in a table that a screen reader can walk through. */
function modeTable(facts) {
  const cells = facts.target.map((_, i) => ({
    now: make("td", { "data-now": i + 1 }),
    end: make("td", { "data-end": i + 1 }),
    half: make("td", { "data-half": i + 1 }),
  }));
  const rows = facts.target.map((s, i) => {
    const swatch = make("svg", { width: 26, height: 10, "aria-hidden": "true" }, styledLine(facts, i, "M0 5L26 5"));
    const { now, end, half } = cells[i];
    return make("tr", {}, make("th", { scope: "row" }, swatch, modeName(i)), make("td", {}, String(s)), now, end, half);
  });
  const head = ["mode", "target", "now", "in the end", "half of it at t"].map((text) => make("th", { scope: "col" }, text));
  const when = make("span", { class: "lr-nowrap" });
  const caption = make("caption", {}, "Every mode ", when, ", and where it goes");
  return { table: make("table", {}, caption, make("thead", {}, make("tr", {}, head)), make("tbody", {}, rows)), cells, when };
}

async function render({ model, el }) {
  const facts = model.get("facts");
  const life = new AbortController(); // aborting it removes every listener made below
  const { signal } = life;
  const id = freeId(model.get("label"));
  const choose = setterOf(model);
  const grids = { depth: facts.depths, weight_decay: facts.decays, start: facts.starts, eps: facts.thresholds, time: facts.times };
  const captions = { depth: "Depth L", weight_decay: "Weight decay λ", start: "Start σ(0)", eps: "Threshold ε", time: "Time t" };
  const sliderFor = (name) => {
    const move = (place) => (name === "time" ? goTo(place) : choose({ [name]: grids[name][place] }));
    return slider({ control: name, caption: captions[name], move, signal });
  };
  const sliders = Object.fromEntries(Object.keys(grids).map((name) => [name, sliderFor(name)]));
  const play = make("button", { type: "button", "data-control": "play" });
  const reset = make("button", { type: "button", class: "lr-wide", "data-control": "reset" }, "Reset");
  const grip = make("g", { class: "lr-grip" }, make("rect", {}), make("circle", { r: 5 }));
  const paths = make("svg", { "data-plot": "paths", class: "lr-timed", role: "img" }, make("g"), grip);
  const stairs = make("svg", { "data-plot": "counts", class: "lr-timed", role: "img" });
  const note = make("p", { class: "lr-note", "data-note": true });
  const { table, cells, when } = modeTable(facts);
  const aside = " over time, square-root scale; ticks at the right: targets";
  const output = make("p", { "data-output": true, "aria-live": "polite", class: "lr-output" });
  const root = make(
    "div",
    { class: "lr-figure", id, "data-figure": "SingularValueRace", role: "group", "aria-label": model.get("title") },
    make("p", { class: "lr-title" }, model.get("title")),
    make(
      "div",
      { class: "lr-controls lr-race" },
      ["depth", "weight_decay", "start", "eps"].map((name) => sliders[name].node),
      make("div", { class: "lr-with-button" }, play, sliders.time.node, reset),
    ),
    make("p", { class: "lr-heading" }, make("strong", {}, "Singular values σ", make("sub", {}, "i")), aside),
    paths,
    make("p", { class: "lr-heading" }),
    stairs,
    note,
    table,
    output,
  );
  const countsHeading = root.querySelectorAll(".lr-heading")[1];
  keepLetters(root, signal);
  el.append(root);

  const placeOf = (name) => nearest(grids[name], model.get(name));
  const kept = { key: null, race: null }; // moving the cursor or the threshold solves nothing again
  const raceNow = (settings) => {
    const key = Object.values(settings).join();
    if (kept.key !== key) Object.assign(kept, { key, race: runRace(facts, settings) });
    return kept.race;
  };
  let drawn = { sigmaAt: () => 1, logTimeAt: () => 0 }; // what is drawn where; known after the first drawing

  const draw = () => {
    const width = Math.round(paths.getBoundingClientRect().width);
    if (!width) return; // not in the document yet: the observer calls again
    const at = Object.fromEntries(Object.keys(grids).map((name) => [name, placeOf(name)]));
    const value = Object.fromEntries(Object.keys(grids).map((name) => [name, grids[name][at[name]]]));
    Object.keys(grids).forEach((name) => sliders[name].show(at[name], grids[name].length, String(value[name])));
    const race = raceNow({ depth: value.depth, start: value.start, decay: value.weight_decay });
    const counts = race.counts(value.eps);
    const context = { facts, race, counts, id, width, state: { t: at.time, eps: value.eps } };
    const narrow = width < 520;
    drawn = {
      sigmaAt: drawPaths(paths, grip, { ...context, height: narrow ? 210 : 260 }),
      logTimeAt: drawCounts(stairs, { ...context, height: narrow ? 130 : 150 }),
    };
    const now = race.modes.map(({ path: values }) => values[FINE * at.time].toFixed(3));
    race.modes.forEach(({ end, half }, i) => {
      cells[i].now.textContent = now[i];
      cells[i].end.textContent = end.toFixed(3);
      cells[i].half.textContent = halfText(half);
    });
    const count = `${counts[FINE * at.time]} of ${facts.target.length}`;
    countsHeading.replaceChildren(make("strong", {}, `How many σ > ${value.eps}`), `: ${count} at t = ${value.time}`);
    when.textContent = `at t = ${value.time}`;
    note.textContent = beyond(facts, race);
    const settings = `depth ${value.depth}, start ${value.start}, weight decay ${value.weight_decay}`;
    const sizes = now.map((text, i) => `${modeName(i)} ${text}`).join(", ");
    output.textContent = `Time ${value.time}, ${settings}: ${count} singular values above ${value.eps}. ${sizes}. ${note.textContent}`;
    paths.setAttribute("aria-label", `Singular values of ${facts.target.length} modes over time, ${settings}`);
    stairs.setAttribute("aria-label", `How many singular values lie above ${value.eps} over time, ${settings}`);
    root.dataset.ready = "true";
  };

  const goTo = (place) => {
    player.stop();
    choose({ time: facts.times[place] });
  };
  const player = playback(play, {
    advance: () => choose({ time: facts.times[(placeOf("time") + 1) % facts.times.length] }),
    atEnd: () => placeOf("time") === facts.times.length - 1,
    pause: 70,
  });
  const seek = (x) => goTo(nearestRatio(facts.times, 10 ** drawn.logTimeAt(x)));
  [paths, stairs].forEach((svg) => draggable(svg, svg, seek, signal));
  grip.addEventListener("pointerdown", (event) => event.stopPropagation(), { signal }); // it moves eps, not the time
  draggable(grip, paths, (_, y) => choose({ eps: facts.thresholds[nearestRatio(facts.thresholds, drawn.sigmaAt(y))] }), signal);
  play.addEventListener("click", player.toggle, { signal });
  const startAgain = () => {
    player.stop();
    choose(facts.first);
  };
  reset.addEventListener("click", startAgain, { signal });
  const stopDrawing = keepDrawn({ model, root, traits: Object.keys(grids), draw });

  return () => {
    player.stop();
    stopDrawing();
    life.abort();
    root.remove();
  };
}

/** The place of the value nearest to this one on a log scale. */
function nearestRatio(values, value) {
  return nearest(values.map(Math.log), Math.log(Math.max(value, values[0])));
}

export default { render };
