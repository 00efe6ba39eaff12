const plain = {
  paper_bgcolor: "rgba(0,0,0,0)",
  plot_bgcolor: "rgba(0,0,0,0)",
  showlegend: true,
  font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif", color: "#93a6c2" },
};
// Some degrees more than there are, so that no dot at an edge is cut.
const WEST_EAST = 184;
const SOUTH_NORTH = WEST_EAST / 2;
// Made anew each time, since plotly writes into what it is given.
const world = () => ({ "xaxis.range": [-WEST_EAST, WEST_EAST], "yaxis.range": [-SOUTH_NORTH, SOUTH_NORTH] });

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
  const opacity = Math.max(0.3, Math.min(1, (400 / data.ids.length) ** 0.35));
  const ring = { // dark inside, or it would vanish on ice
    size: size + 1, color: "rgba(11,19,32,.55)", opacity: opacity ** 1.7, line: { color: "rgba(255,255,255,.75)", width: 1 },
  };
  const truths = measured.map((band) => ({ ...marks(band.rows, data.truths, ring), name: "truth", band }));
  const answers = allBands.map((band) => ({
    ...marks(band.rows, data.answers, { size, opacity, color: band.colour, line: { width: 0 } }), name: "answer", band,
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
    dragmode: false, // of the whole world a finger scrolls the page
    hovermode: "closest",
    hoverdistance: 12,
    xaxis: { ...axis, range: world()["xaxis.range"], minallowed: -WEST_EAST, maxallowed: WEST_EAST },
    yaxis: {
      ...axis, range: world()["yaxis.range"], minallowed: -SOUTH_NORTH, maxallowed: SOUTH_NORTH, scaleanchor: "x",
    },
    images: data.background && [{
      source: data.background, xref: "x", yref: "y", x: -180, y: 90, sizex: 360, sizey: 180, sizing: "stretch",
      layer: "below",
    }],
  };
  const config = { displayModeBar: false, scrollZoom: true, doubleClick: "reset", responsive: true };
  const type = webgl() ? "scattergl" : "scatter";
  return Plotly.newPlot(map, traces(type, map.clientWidth), layout, config);
}

// The wheel belongs to the page, until Ctrl is held or the map is clicked; and what is not whole can be dragged.
function shareWheelAndFinger(map) {
  let taken = false;
  map.addEventListener("pointerdown", () => { taken = true; });
  map.addEventListener("pointerleave", () => { taken = false; });
  map.addEventListener("wheel", (event) => {
    if (!taken && !event.ctrlKey) event.stopPropagation();
  }, { capture: true, passive: true });
  map.on("plotly_relayout", () => {
    const [left, right] = map._fullLayout.xaxis.range;
    const dragmode = right - left < 2 * WEST_EAST - 1e-6 ? "pan" : false;
    if (map._fullLayout.dragmode !== dragmode) Plotly.relayout(map, { dragmode });
  });
}

function zoomed(factor) {
  const { xaxis, yaxis } = document.getElementById("map")._fullLayout;
  const wide = Math.min(2 * WEST_EAST, (xaxis.range[1] - xaxis.range[0]) * factor);
  const [x, y] = [xaxis, yaxis].map((axis) => (axis.range[0] + axis.range[1]) / 2);
  const held = (middle, half, limit) => Math.max(half - limit, Math.min(limit - half, middle));
  const [left, low] = [held(x, wide / 2, WEST_EAST) - wide / 2, held(y, wide / 4, SOUTH_NORTH) - wide / 4];
  Plotly.relayout("map", { "xaxis.range": [left, left + wide], "yaxis.range": [low, low + wide / 2] });
}
