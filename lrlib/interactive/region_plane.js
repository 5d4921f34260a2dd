// The plane of RegionMap: regions, the lines of the first layer's units with their handles, and the point.

const MARGIN = { left: 26, right: 8, top: 8, bottom: 30 };
const PIXELS = [40, 460]; // the square's side at least, for a window may be a pixel wide for a moment, and at most
const LABEL_ROOM = 9; // pixels from a region's centre to its edges, below which it gets no number

/** Pixels and the plane: the square [-extent, extent]^2 in a plot so many pixels wide. */
function planeView(width, extent) {
  const side = Math.min(PIXELS[1], Math.max(PIXELS[0], width - MARGIN.left - MARGIN.right));
  const [left, top] = [MARGIN.left, MARGIN.top];
  return {
    side,
    unit: side / (2 * extent), // pixels
    toPixel: ([x, y]) => [left + ((x + extent) / (2 * extent)) * side, top + ((extent - y) / (2 * extent)) * side],
    toPlane: ([x, y]) => [((x - left) / side) * 2 * extent - extent, extent - ((y - top) / side) * 2 * extent],
  };
}

/** How far a polygon's edges are from a point within. */
function roomAround([x, y], polygon) {
  const distances = polygon.map(([x0, y0], i) => {
    const [x1, y1] = polygon[(i + 1) % polygon.length];
    const length = Math.hypot(x1 - x0, y1 - y0); // two corners may be one, where a line meets a corner
    return length ? Math.abs((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)) / length : Infinity;
  });
  return Math.min(...distances);
}

/** Regions, each with its rank in colour and, where there is room, in figures; then the frame and its ticks. */
function drawGround(group, { view, facts, regions }) {
  const { left, top } = MARGIN;
  const [right, bottom] = [left + view.side, top + view.side];
  const shape = ({ polygon, rank }) =>
    make("path", { class: "lr-region", d: `${path(polygon.map(view.toPixel))}Z`, fill: facts.colours[rank], "data-rank": rank });
  const label = ({ polygon, centre, rank }) => {
    if (roomAround(centre, polygon) * view.unit < LABEL_ROOM) return null;
    const [x, y] = view.toPixel(centre);
    return say(x, y + 4.5, String(rank), { class: `lr-on-${rank}`, "text-anchor": "middle" });
  };
  const ticks = [-facts.extent, 0, facts.extent].flatMap((value) => {
    const [x, y] = view.toPixel([value, value]);
    const text = String(Number(value.toPrecision(3))).replace("-", "\u2212");
    return [say(x, bottom + 16, text, { "text-anchor": "middle" }), say(left - 5, y + 4, text, { "text-anchor": "end" })];
  });
  const names = [
    say((left + right) / 2 + view.side / 4, bottom + 18, "x₁", { "text-anchor": "middle" }),
    say(left - 5, top + view.side / 4 + 4, "x₂", { "text-anchor": "end" }),
  ];
  const frame = make("rect", { class: "lr-frame", x: left, y: top, width: view.side, height: view.side });
  group.replaceChildren(...regions.map(shape), ...regions.map(label).filter(Boolean), frame, ...ticks, ...names);
}

/** Where the handles of a line stand: one in its middle, one to turn it by, at the end of a lever in the plane. */
function leverOf(row, view, extent) {
  const ends = segmentOf(row, extent);
  if (!ends) return null;
  const length = Math.hypot(ends[1][0] - ends[0][0], ends[1][1] - ends[0][1]);
  const middle = [0, 1].map((k) => (ends[0][k] + ends[1][k]) / 2);
  return { middle, radius: Math.max(0.3 * length, 48 / view.unit) }; // two thumbs apart at least
}

/**
 * The plane as an SVG with its listeners. Elements that can be held stay the same while the picture changes: a new
 * one would lose the pointer. `reader` is told: hover(point or null), pin(point), chooseUnit(u), setRow(u, row).
 */
function planePlot(facts, reader, signal) {
  const [ground, lineGroup, handles, marks] = ["", "", "lr-handles", "lr-marks"].map((name) => make("g", { class: name }));
  const svg = make("svg", { "data-plot": "plane", role: "application", tabindex: 0 }, ground, lineGroup, handles, marks);
  let view = null;
  let rows = [];
  let chosen = null; // the chosen unit, if it is of the first layer
  let lever = null; // while its line is turned: about which point, and how long the lever is

  const pixel = (event) => {
    const box = svg.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  /** Dragging: `start` says what is held, or null, and `move` gets it with every later place of the pointer. */
  const hold = (handle, start, move) => {
    let held = null;
    let pressed = false;
    const press = (event) => {
      pressed = false;
      held = event.button === 0 ? start(view.toPlane(pixel(event)), event) : null;
    };
    handle.addEventListener("pointerdown", press, { signal });
    const report = (x, y) => {
      if (pressed && held) move(view.toPlane([x, y]), held);
      pressed = true; // the first report is of the press itself, which moves nothing
    };
    draggable(handle, svg, report, signal);
    const release = () => {
      lever = null;
      placeHandles();
    };
    handle.addEventListener("lostpointercapture", release, { signal });
  };
  const shiftFrom = (u) => (point) => {
    const { angle, offset } = lineOf(rows[u]);
    const normal = [Math.cos(angle), Math.sin(angle)];
    return { u, normal, gap: offset - normal[0] * point[0] - normal[1] * point[1] };
  };
  const shiftTo = ([x, y], { u, normal, gap }) => reader.setRow(u, shifted(rows[u], normal[0] * x + normal[1] * y + gap));
  const turnTo = ([x, y], { middle }) => {
    const around = Math.atan2(y - middle[1], x - middle[0]);
    const angle = around - Math.PI / 2;
    const offset = middle[0] * Math.cos(angle) + middle[1] * Math.sin(angle);
    reader.setRow(chosen, rowOf({ ...lineOf(rows[chosen]), angle, offset }));
  };

  const lines = Array.from({ length: facts.widths[1] }, (_, u) => {
    const parts = ["lr-halo", "lr-stroke", "lr-hit"].map((name) => make("path", { class: name }));
    const start = (point, event) => {
      const already = chosen === u;
      reader.chooseUnit(u);
      // a finger chooses a line first and drags it then: it may be about to scroll the page
      return event.pointerType === "touch" && !already ? null : shiftFrom(u)(point);
    };
    hold(parts[2], start, shiftTo);
    return make("g", { class: "lr-unit-line", "data-unit": u + 1 }, parts);
  });
  lineGroup.append(...lines);
  const knob = (name, r) => make("g", { class: name }, make("circle", { class: "lr-target" }), make("circle", { class: "lr-knob", r }));
  const arrow = make("path", { class: "lr-arrow" });
  const [mover, turner] = [knob("lr-mover", 5), knob("lr-turner", 8)];
  handles.append(arrow, mover, turner);
  hold(mover, (point) => shiftFrom(chosen)(point), shiftTo);
  hold(turner, () => (lever = leverOf(rows[chosen], view, facts.extent)), turnTo);

  function placeHandles() {
    const line = chosen === null ? null : lineOf(rows[chosen]);
    const grip = line && (lever ?? leverOf(rows[chosen], view, facts.extent));
    handles.style.display = grip ? "" : "none";
    if (!grip) return;
    const [c, s] = [Math.cos(line.angle), Math.sin(line.angle)];
    const [x, y] = view.toPixel(grip.middle);
    const [turnX, turnY] = view.toPixel([grip.middle[0] - s * grip.radius, grip.middle[1] + c * grip.radius]);
    const ahead = (far, aside) => [x + far * c - aside * s, y - far * s - aside * c];
    mover.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
    turner.setAttribute("transform", `translate(${turnX.toFixed(1)} ${turnY.toFixed(1)})`);
    arrow.setAttribute("d", `${path([ahead(0, 0), ahead(30, 0)])}${path([ahead(23, 5), ahead(30, 0), ahead(23, -5)])}`);
  }

  const draw = (state, regions) => {
    view = planeView(Math.round(svg.parentNode.getBoundingClientRect().width), facts.extent);
    rows = state.weights[0];
    chosen = state.neuron.l === 0 ? state.neuron.u : null;
    const [width, height] = [view.side + MARGIN.left + MARGIN.right, view.side + MARGIN.top + MARGIN.bottom];
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    Object.assign(svg.style, { width: `${width}px`, height: `${height}px` });
    drawGround(ground, { view, facts, regions });
    lines.forEach((line, u) => {
      const ends = segmentOf(rows[u], facts.extent);
      line.classList.toggle("lr-chosen", u === chosen);
      line.style.display = ends ? "" : "none";
      if (ends) for (const part of line.children) part.setAttribute("d", path(ends.map(view.toPixel)));
    });
    placeHandles();
  };
  /** Show the point that is pinned and, if there is one, that under the pointer. */
  const mark = (pinned, hovered) => {
    const dot = (point, name) => {
      const [cx, cy] = view.toPixel(point);
      return make("circle", { class: name, cx: cx.toFixed(1), cy: cy.toFixed(1), r: 5.5 });
    };
    marks.replaceChildren(dot(pinned, "lr-pin"), ...(hovered ? [dot(hovered, "lr-hover")] : []));
  };

  const inside = (point) => (Math.max(...point.map(Math.abs)) <= facts.extent ? point : null);
  const hover = (event) => {
    if (!event.buttons && event.pointerType !== "touch") reader.hover(inside(view.toPlane(pixel(event))));
  };
  const pin = (event) => {
    const point = inside(view.toPlane(pixel(event)));
    if (point && !lineGroup.contains(event.target) && !handles.contains(event.target)) reader.pin(point);
  };
  svg.addEventListener("pointermove", hover, { signal });
  svg.addEventListener("pointerleave", () => reader.hover(null), { signal });
  svg.addEventListener("click", pin, { signal });
  return { svg, draw, mark };
}
