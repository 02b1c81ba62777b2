// Draws the panes of one chart with uPlot. Streamlit calls the default export again when the data or the theme changes.
const DRAWN = new WeakMap(); // what stands in an element: { key, plots, watcher, zoom }
const LIGHT = 0, DARK = 1;
const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 };

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".desk-chart");
  const shade = shadeOf(root);
  const before = DRAWN.get(root);
  if (before?.key !== `${data.digest} ${shade}`) {
    const zoom = before?.zoom;
    remove(root);
    DRAWN.set(root, draw(root, JSON.parse(data.spec), shade, zoom));
    DRAWN.get(root).key = `${data.digest} ${shade}`;
    root.dataset.draws = Number(root.dataset.draws ?? 0) + 1;
  }
  return () => remove(root);
}

function remove(root) {
  const drawn = DRAWN.get(root);
  if (!drawn) return;
  drawn.watcher.disconnect();
  drawn.plots.forEach((plot) => plot.destroy());
  root.onkeydown = null;
  root.replaceChildren();
  DRAWN.delete(root);
}

// The theme's background decides between the two shades of each colour.
function shadeOf(root) {
  const background = getComputedStyle(root).getPropertyValue("--st-background-color").trim();
  const probe = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
  probe.fillStyle = background || "#fff";
  probe.fillRect(0, 0, 1, 1);
  const [red, green, blue] = probe.getImageData(0, 0, 1, 1).data;
  return 0.299 * red + 0.587 * green + 0.114 * blue > 128 ? LIGHT : DARK;
}

function draw(root, spec, shade, zoom) {
  const drawn = { plots: [], zoom, watcher: null };
  const spoken = element("p", "spoken");
  spoken.setAttribute("aria-live", "polite");
  root.setAttribute("aria-label", spec.summary);
  if (spec.x.length === 0) {
    root.append(Object.assign(element("p", "empty"), { textContent: spec.empty }));
  } else {
    const sync = uPlot.sync(Math.random().toString(36));
    for (const pane of spec.panes) drawn.plots.push(drawPane(root, spec, pane, shade, sync, drawn));
    drawn.plots.forEach((plot) => plot.redraw(false, true)); // all axes as wide as the widest, so that the panes line up
    if (zoom) drawn.plots[0].setScale("x", zoom);
    root.append(spoken);
    root.onkeydown = (event) => onKey(event, spec, drawn.plots, spoken);
  }
  drawn.watcher = new ResizeObserver(() => drawn.plots.forEach((plot) => resize(plot, root)));
  drawn.watcher.observe(root);
  return drawn;
}

function resize(plot, root) {
  if (root.clientWidth > 0 && root.clientWidth !== plot.width) plot.setSize({ width: root.clientWidth, height: plot.height });
}

function drawPane(root, spec, pane, shade, sync, drawn) {
  const title = element("p", "pane-title");
  title.append(pane.title, Object.assign(element("span", "unit"), { textContent: pane.unit ? ` (${pane.unit})` : "" }));
  const marks = element("p", "marks");
  root.append(title);
  const columns = [spec.x, ...pane.series.map((series) => series.values)];
  const plot = new uPlot(optionsOf(root, spec, pane, shade, sync, drawn, marks), columns, root);
  if (pane.markers.length > 0) root.append(marks);
  makeReachable(plot);
  return plot;
}

function optionsOf(root, spec, pane, shade, sync, drawn, marks) {
  const ink = getComputedStyle(root).color;
  const line = shade === LIGHT ? "rgba(0,0,0,0.12)" : "rgba(255,255,255,0.15)";
  const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px sans-serif" };
  return {
    width: Math.max(root.clientWidth, 200),
    height: pane.height,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    scales: { x: { time: spec.time }, y: { dir: pane.down ? -1 : 1, range: (_, low, high) => rangeOf(pane, low, high) } },
    axes: [
      xAxis(spec, pane, axis),
      { ...axis, space: 24, size: (_, texts) => widest(drawn, texts),
        values: (_, splits) => splits.map((value) => value.toLocaleString("en-US", { maximumFractionDigits: 6 })) },
    ],
    cursor: { sync: { key: sync.key }, drag: { x: true, y: false }, points: { size: 7 } },
    legend: { markers: { width: 2 } },
    series: [
      { label: spec.x_name, value: (plot, value, _, at) => xText(spec, at == null ? newest(plot.data[0]) : value) },
      ...pane.series.map((series) => seriesOf(series, pane, shade)),
    ],
    bands: pane.bands.map((band) => ({ series: [band.high + 1, band.low + 1], fill: faint(band.colour[shade]), dir: 0 })),
    hooks: {
      draw: [(plot) => drawCandles(plot, pane, shade), (plot) => drawLevels(plot, pane, shade),
        (plot) => drawMarkers(plot, pane, shade)],
      setCursor: [(plot) => { marks.textContent = textOfMarks(spec, pane, plot.cursor.idx); }],
      setScale: [(plot, scale) => { if (scale === "x") drawn.zoom = zoomOf(plot, spec); }],
    },
  };
}

// Panes share one axis of time, which stands below the last.
function xAxis(spec, pane, axis) {
  if (pane !== spec.panes.at(-1)) return { ...axis, space: 70, size: 10, values: (_, splits) => splits.map(() => "") };
  return { ...axis, label: spec.x_label, labelSize: 16, size: 44, labelFont: "12px sans-serif", space: 70 };
}

function widest(drawn, texts) {
  drawn.axis = Math.max(drawn.axis ?? 40, 18 + 7 * Math.max(...(texts ?? [""]).map((text) => text.length)));
  return drawn.axis;
}

function seriesOf(series, pane, shade) {
  const colour = series.colour[shade];
  const paths = { step: () => uPlot.paths.stepped({ align: 1 }), bars: () => uPlot.paths.bars({ size: [0.8, 40] }),
    none: () => () => null }[series.kind]?.();
  return {
    label: series.label,
    stroke: colour,
    width: series.width,
    dash: series.dash,
    fill: series.fill ? faint(colour) : undefined,
    fillTo: series.fill ? 0 : undefined,
    points: { show: series.kind === "points" ? true : series.kind === "none" ? false : undefined, size: 5, fill: colour },
    ...(paths ? { paths } : series.kind === "points" ? { paths: () => null } : {}),
    value: (plot, value, which, at) => numberText(at == null ? newest(plot.data[which]) : value, pane),
  };
}

// Without a cursor the legend has the newest values.
function newest(values) {
  return values.findLast((value) => value != null);
}

function faint(colour) {
  return `${colour}33`;
}

// The lowest and highest value with a margin; lines such as a stop are always inside.
function rangeOf(pane, low, high) {
  const values = [low, high, ...pane.levels.map((level) => level.value), ...(pane.zero ? [0] : [])].filter(Number.isFinite);
  if (values.length === 0) return [0, 1];
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const margin = (most - least || Math.abs(most) || 1) * 0.06;
  return [pane.zero && least === 0 ? 0 : least - margin, pane.zero && most === 0 ? 0 : most + margin];
}

function zoomOf(plot, spec) {
  const { min, max } = plot.scales.x;
  return min > spec.x[0] || max < spec.x.at(-1) ? { min, max } : null;
}

function drawCandles(plot, pane, shade) {
  if (!pane.candles) return;
  const [open, high, low, close] = pane.candles.columns.map((column) => plot.data[column + 1]);
  const [first, last] = plot.series[0].idxs;
  const width = Math.max(1, Math.min(12 * devicePixelRatio, (plot.bbox.width / (last - first + 1)) * 0.6));
  const context = clipped(plot);
  for (let at = first; at <= last; at++) {
    if (close[at] == null) continue;
    const x = Math.round(plot.valToPos(plot.data[0][at], "x", true));
    const [top, bottom, from, to] = [high, low, open, close].map((column) => plot.valToPos(column[at], "y", true));
    const rises = close[at] >= open[at];
    context.strokeStyle = context.fillStyle = pane.candles[rises ? "rises" : "falls"][shade];
    context.lineWidth = devicePixelRatio;
    context.beginPath();
    context.moveTo(x, top);
    context.lineTo(x, bottom);
    context.stroke();
    const box = [x - width / 2, Math.min(from, to), width, Math.max(1, Math.abs(from - to))];
    rises ? context.strokeRect(...box) : context.fillRect(...box); // hollow and filled: no colour is needed to tell them apart
  }
  context.restore();
}

function drawLevels(plot, pane, shade) {
  const context = clipped(plot);
  context.font = `${12 * devicePixelRatio}px sans-serif`;
  context.textAlign = "left"; // the axes leave theirs behind
  context.textBaseline = "alphabetic";
  for (const level of pane.levels) {
    const y = plot.valToPos(level.value, "y", true);
    context.strokeStyle = context.fillStyle = level.colour[shade];
    context.lineWidth = 1.5 * devicePixelRatio;
    context.setLineDash(level.dash.map((part) => part * devicePixelRatio));
    context.beginPath();
    context.moveTo(plot.bbox.left, y);
    context.lineTo(plot.bbox.left + plot.bbox.width, y);
    context.stroke();
    context.fillText(`${level.label} ${numberText(level.value, pane)}`, plot.bbox.left + 6 * devicePixelRatio, y - 4 * devicePixelRatio);
  }
  context.restore();
}

const SHAPES = {
  entry: (context, x, y, size) => polygon(context, [[x, y], [x - size, y + 1.7 * size], [x + size, y + 1.7 * size]]),
  exit: (context, x, y, size) => polygon(context, [[x, y], [x - size, y - 1.7 * size], [x + size, y - 1.7 * size]]),
  stop: (context, x, y, size) => cross(context, x, y, size),
  target: (context, x, y, size) => polygon(context, [[x, y - size], [x + size, y], [x, y + size], [x - size, y]]),
  signal: (context, x, y, size) => { context.beginPath(); context.arc(x, y, size, 0, 2 * Math.PI); context.stroke(); },
};

function drawMarkers(plot, pane, shade) {
  const context = clipped(plot);
  const size = 6 * devicePixelRatio;
  context.lineWidth = 2 * devicePixelRatio;
  for (const marker of pane.markers) {
    context.strokeStyle = context.fillStyle = marker.colour[shade];
    SHAPES[marker.shape](context, plot.valToPos(marker.x, "x", true), plot.valToPos(marker.value, "y", true), size);
  }
  context.restore();
}

function clipped(plot) {
  const context = plot.ctx;
  context.save();
  context.setLineDash([]); // a dashed series leaves its own behind
  context.beginPath();
  context.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
  context.clip();
  return context;
}

function polygon(context, corners) {
  context.beginPath();
  corners.forEach(([x, y]) => context.lineTo(x, y));
  context.closePath();
  context.fill();
}

function cross(context, x, y, size) {
  context.beginPath();
  for (const way of [1, -1]) {
    context.moveTo(x - size, y - way * size);
    context.lineTo(x + size, y + way * size);
  }
  context.stroke();
}

function numberText(value, pane) {
  if (value == null) return "n/a";
  const digits = { minimumFractionDigits: pane.decimals, maximumFractionDigits: pane.decimals };
  return `${value.toLocaleString("en-US", digits)}${pane.unit ? ` ${pane.unit}` : ""}`;
}

function xText(spec, value) {
  if (value == null) return "n/a";
  if (!spec.time) return value.toLocaleString("en-US", { maximumFractionDigits: 4 });
  const text = new Date(value * 1000).toISOString();
  return spec.daily ? text.slice(0, 10) : `${text.slice(0, 16).replace("T", " ")} UTC`;
}

function textOfMarks(spec, pane, at) {
  if (at == null) return "";
  const [from, to] = [spec.x[at - 1] ?? -Infinity, spec.x[at]];
  return pane.markers.filter((marker) => marker.x > from && marker.x <= to).map((marker) => marker.text).join(" · ");
}

// Names in the legend switch their series; a mouse can do that by itself, a keyboard needs a button.
function makeReachable(plot) {
  plot.root.querySelectorAll(".u-legend .u-series:not(:first-child) th").forEach((name) => {
    name.tabIndex = 0;
    name.setAttribute("role", "button");
    name.onkeydown = (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      name.click();
    };
  });
}

function onKey(event, spec, plots, spoken) {
  const [first, last] = plots[0].series[0].idxs;
  const now = plots[0].cursor.idx;
  const goals = { Home: first, End: last };
  if (event.key in STEPS) goals[event.key] = Math.min(last, Math.max(first, (now ?? last) + STEPS[event.key]));
  if (event.key in goals) moveTo(goals[event.key], spec, plots, spoken);
  else if (event.key === "+" || event.key === "-") zoom(plots, spec, now ?? last, event.key === "+" ? 0.5 : 2);
  else if (event.key === "Escape") plots.forEach((plot) => plot.setScale("x", { min: spec.x[0], max: spec.x.at(-1) }));
  else return;
  event.preventDefault();
}

function moveTo(at, spec, plots, spoken) {
  const values = [];
  spec.panes.forEach((pane, each) => {
    const plot = plots[each];
    const value = pane.series.map((series) => series.values[at]).find((number) => number != null) ?? 0;
    plot.setCursor({ left: plot.valToPos(spec.x[at], "x"), top: plot.valToPos(value, "y") });
    pane.series.forEach((series) => values.push(`${series.label} ${numberText(series.values[at], pane)}`));
    values.push(textOfMarks(spec, pane, at));
  });
  spoken.textContent = [xText(spec, spec.x[at]), ...values.filter(Boolean)].join(", ");
}

function zoom(plots, spec, at, factor) {
  const { min, max } = plots[0].scales.x;
  const half = ((max - min) * factor) / 2;
  const middle = spec.x[at];
  const range = { min: Math.max(spec.x[0], middle - half), max: Math.min(spec.x.at(-1), middle + half) };
  if (range.max > range.min) plots.forEach((plot) => plot.setScale("x", range));
}

function element(tag, name) {
  return Object.assign(document.createElement(tag), { className: name });
}
