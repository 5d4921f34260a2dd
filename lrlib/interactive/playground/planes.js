// The playground's two pictures of points, on canvases: the plane of inputs with its ranks, and a layer's features.

const DARK = "#1b1b1b";
const RAMP = [[243, 234, 215], [222, 143, 5], [1, 115, 178]]; // of the ranks: none, half, all; as in RegionMap

/** The colour of a rank between 0 and `most`, as [r, g, b]. */
function rankColour(rank, most) {
  const place = Math.min(1, Math.max(0, rank / most)) * (RAMP.length - 1);
  const i = Math.min(RAMP.length - 2, Math.floor(place));
  return RAMP[i].map((from, c) => Math.round(from + (place - i) * (RAMP[i + 1][c] - from)));
}

/** Give a canvas a square of `size` CSS pixels, and return its context, cleared, in those pixels. */
function freshCanvas(canvas, size) {
  const density = Math.min(2, devicePixelRatio || 1);
  const pixels = Math.round(size * density);
  if (canvas.width !== pixels) [canvas.width, canvas.height] = [pixels, pixels];
  Object.assign(canvas.style, { width: `${size}px`, height: `${size}px` });
  const context = canvas.getContext("2d");
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, size, size);
  return context;
}

/** White or dark, whichever can be read on this colour, "#rrggbb". */
function inkOn(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => (parseInt(colour.slice(at, at + 2), 16) / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.18 ? "#fff" : DARK; // equal contrast at 0.18
}

/** Points at pixel places: numerals on discs for ten classes, white and dark dots for two, greys for targets. */
function drawPoints(context, places, { labels, classes, facts }) {
  const dot = (x, y, radius, fill, edge) => {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    [context.fillStyle, context.strokeStyle, context.lineWidth] = [fill, edge, 1];
    context.fill();
    context.stroke();
  };
  context.font = "600 9px sans-serif";
  [context.textAlign, context.textBaseline] = ["center", "middle"];
  places.forEach(([x, y], i) => {
    const grey = Math.round(27 + (1 - labels[i]) * 228);
    if (classes <= 2) return dot(x, y, 2.6, `rgb(${grey} ${grey} ${grey})`, labels[i] > 0.5 ? "#fff" : DARK);
    const colour = facts.colours[labels[i] % facts.colours.length];
    dot(x, y, 5.5, colour, "rgb(255 255 255 / 70%)");
    context.fillStyle = inkOn(colour);
    return context.fillText(String(labels[i]), x, y + 0.5);
  });
}

/** The borders between cells whose values differ, as one path. */
function borders(values, n, size) {
  const lines = new Path2D();
  const cell = size / n;
  for (let row = 0; row < n; row += 1) {
    for (let i = 0; i < n; i += 1) {
      const at = row * n + i;
      if (i + 1 < n && values[at] !== values[at + 1]) {
        lines.moveTo((i + 1) * cell, row * cell);
        lines.lineTo((i + 1) * cell, (row + 1) * cell);
      }
      if (row + 1 < n && values[at] !== values[at + n]) {
        lines.moveTo(i * cell, (row + 1) * cell);
        lines.lineTo((i + 1) * cell, (row + 1) * cell);
      }
    }
  }
  return lines;
}

/** The plane of inputs as the worker painted it: ranks as colours, regions, the decision boundary, and the points. */
function drawPlane(canvas, { facts, size, picture, most, points, labels, classes }) {
  const context = freshCanvas(canvas, size);
  const n = picture.view.resolution;
  const small = new OffscreenCanvas(n, n);
  const image = new ImageData(n, n);
  picture.ranks.forEach((rank, i) => image.data.set([...rankColour(rank, most), 255], 4 * i));
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, size, size);
  context.strokeStyle = "rgb(27 27 27 / 28%)";
  context.lineWidth = 0.75;
  context.stroke(borders(picture.patterns, n, size));
  if (classes > 1) {
    const boundary = borders(picture.classes, n, size);
    context.strokeStyle = "#fff";
    context.lineWidth = 4;
    context.stroke(boundary);
    context.strokeStyle = DARK;
    context.lineWidth = 2;
    context.stroke(boundary);
  }
  const toPixel = (value) => ((value / picture.extent + 1) / 2) * size;
  const places = labels.length ? Array.from(labels, (_, i) => [toPixel(points[2 * i]), size - toPixel(points[2 * i + 1])]) : [];
  drawPoints(context, places, { labels, classes, facts });
}

/** A layer's features on their own two principal directions, both on one scale. */
function drawFeatures(canvas, { facts, size, features, labels, classes }) {
  const context = freshCanvas(canvas, size);
  const reach = features.points.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const toPixel = (value) => size / 2 + (value / reach) * (size / 2 - 10);
  context.strokeStyle = "rgb(128 128 128 / 35%)";
  context.lineWidth = 1;
  context.strokeRect(0.5, 0.5, size - 1, size - 1);
  for (const line of [[0, size / 2, size, size / 2], [size / 2, 0, size / 2, size]]) {
    context.beginPath();
    context.moveTo(line[0], line[1]);
    context.lineTo(line[2], line[3]);
    context.stroke();
  }
  const places = Array.from(labels, (_, i) => [toPixel(features.points[2 * i]), size - toPixel(features.points[2 * i + 1])]);
  drawPoints(context, places, { labels, classes, facts });
}
