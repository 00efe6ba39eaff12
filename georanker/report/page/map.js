const plain = {
  paper_bgcolor: "rgba(0,0,0,0)",
  plot_bgcolor: "rgba(0,0,0,0)",
  showlegend: true,
  font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif", color: "#93a6c2" },
};
const WORLD = { "xaxis.range": [-180, 180], "yaxis.range": [-90, 90] };

// The way from one place to another by the shorter side; across the antimeridian it becomes two pieces.
function pieces(from, to) {
  const longitude = to.longitude + 360 * Math.round((from.longitude - to.longitude) / 360);
  if (Math.abs(longitude) <= 180) return [[from.longitude, from.latitude, longitude, to.latitude]];
  const edge = 180 * Math.sign(longitude);
  const share = (edge - from.longitude) / (longitude - from.longitude);
  const latitude = from.latitude + share * (to.latitude - from.latitude);
  return [[from.longitude, from.latitude, edge, latitude], [-edge, latitude, to.longitude, to.latitude]];
}

function ways(rows) {
  const [x, y] = [[], []];
  for (const row of rows) {
    for (const [x0, y0, x1, y1] of pieces(point(data.truths, row), point(data.answers, row))) {
      x.push(x0, x1, NaN);
      y.push(y0, y1, NaN);
    }
  }
  return { x, y };
}

function marks(rows, points, marker) {
  const x = rows.map((row) => points[2 * row + 1]);
  return { mode: "markers", x, y: rows.map((row) => points[2 * row]), customdata: rows, hoverinfo: "none", marker };
}

// Lines lie lowest and answers highest, so traces are ordered by kind first; `band` tells whose they are.
function traces(type, width) {
  const crowded = data.ids.length > 2500 ? 4 : data.ids.length > 400 ? 5 : 7;
  const size = crowded * Math.max(0.6, Math.min(1, width / 900));
  const measured = allBands.filter((band) => band !== unknown);
  const lines = measured.map((band) => ({
    ...ways(band.rows), mode: "lines", hoverinfo: "skip", opacity: 0.02 + 0.5 / (1 + band.rows.length / 150),
    line: { color: band.colour, width: 1 }, name: "way", band,
  }));
  const ring = { symbol: "circle-open", size: size + 1, color: "rgba(255,255,255,.55)", line: { width: 1 } };
  const truths = measured.map((band) => ({ ...marks(band.rows, data.truths, ring), name: "truth", band }));
  const answers = allBands.map((band) => ({
    ...marks(band.rows, data.answers, { size, color: band.colour, line: { width: 0 } }), name: "answer", band,
  }));
  return [...lines, ...truths, ...answers].map((trace) => ({ ...trace, type }));
}

// What is drawn of the chosen photo above all others: its way, its truth, its answer and its ranked candidates.
function chosenShapes(row) {
  const dot = (at, radius, look) => ({
    type: "circle", xsizemode: "pixel", ysizemode: "pixel", xanchor: at.longitude, yanchor: at.latitude,
    x0: -radius, x1: radius, y0: -radius, y1: radius, ...look,
  });
  const answer = point(data.answers, row);
  const shown = [dot(answer, 6, { fillcolor: bandOf(row).colour, line: { color: "#0b1320", width: 1.5 } })];
  if (!known(row)) return shown;
  const truth = point(data.truths, row);
  const way = pieces(truth, answer).map(([x0, y0, x1, y1]) => ({
    type: "line", x0, y0, x1, y1, line: { color: "#fff", width: 1.5 },
  }));
  return [...way, ...shown, dot(truth, 7, { line: { color: "#fff", width: 2 } })];
}

function chosenRanks(row) {
  return candidates(row).reverse().map((candidate) => ({
    x: candidate.at.longitude, y: candidate.at.latitude, text: String(candidate.rank + 1), showarrow: false,
    yshift: candidate.rank ? 0 : 16, font: { size: 10, color: UNKNOWN }, bgcolor: "rgba(11,19,32,.85)",
    bordercolor: UNKNOWN, borderpad: 1, borderwidth: 1,
  }));
}

function webgl() {
  return document.createElement("canvas").getContext("webgl") !== null;
}

function drawMap() {
  const map = document.getElementById("map");
  const axis = { showticklabels: false, ticks: "", zeroline: false, dtick: 30, gridcolor: "rgba(255,255,255,.07)" };
  const layout = {
    ...plain,
    showlegend: false,
    margin: { l: 0, r: 0, t: 0, b: 0 },
    dragmode: "pan",
    hovermode: "closest",
    hoverdistance: 12,
    xaxis: { ...axis, range: [-180, 180], minallowed: -180, maxallowed: 180 },
    yaxis: { ...axis, range: [-90, 90], minallowed: -90, maxallowed: 90, scaleanchor: "x" },
    images: data.background && [{
      source: data.background, xref: "x", yref: "y", x: -180, y: 90, sizex: 360, sizey: 180, sizing: "stretch",
      layer: "below",
    }],
  };
  const config = { displayModeBar: false, scrollZoom: true, doubleClick: "reset", responsive: true };
  const type = webgl() ? "scattergl" : "scatter";
  return Plotly.newPlot(map, traces(type, map.clientWidth), layout, config);
}

function zoomed(factor) {
  const { xaxis, yaxis } = document.getElementById("map")._fullLayout;
  const wide = Math.min(360, (xaxis.range[1] - xaxis.range[0]) * factor);
  const [x, y] = [xaxis, yaxis].map((axis) => (axis.range[0] + axis.range[1]) / 2);
  const held = (middle, half, limit) => Math.max(half - limit, Math.min(limit - half, middle));
  const [left, low] = [held(x, wide / 2, 180) - wide / 2, held(y, wide / 4, 90) - wide / 4];
  Plotly.relayout("map", { "xaxis.range": [left, left + wide], "yaxis.range": [low, low + wide / 2] });
}
