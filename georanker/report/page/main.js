let chosenRow = null;

function choose(row) {
  if (row === chosenRow) return;
  chosenRow = row;
  fillCard(row);
  Plotly.relayout("map", { shapes: chosenShapes(row), annotations: chosenRanks(row) });
}

function tellDrawn() {
  const drawn = allBands.filter((band) => !band.hidden).reduce((sum, band) => sum + band.rows.length, 0);
  document.getElementById("drawn").textContent = `${grouped(drawn)} of ${grouped(data.total)} photos drawn`;
}

function addFilter(map) {
  for (const band of allBands) {
    const dot = element("i", "");
    dot.style.background = band.colour;
    const button = element("button", "", dot, bandName(band), element("b", "", grouped(band.rows.length)));
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    button.addEventListener("click", () => {
      band.hidden = !band.hidden;
      button.setAttribute("aria-pressed", String(!band.hidden));
      const traces = [...map.data.keys()].filter((at) => map.data[at].band === band);
      Plotly.restyle(map, { visible: !band.hidden }, traces);
      tellDrawn();
    });
    document.getElementById("filter").append(button);
  }
  tellDrawn();
}

drawMap().then((map) => {
  performance.mark("map drawn");
  addFilter(map);
  shareWheelAndFinger(map);
  for (const event of ["plotly_hover", "plotly_click"]) {
    map.on(event, ({ points }) => choose(points[0].customdata));
  }
  document.getElementById("nearer").addEventListener("click", () => zoomed(0.5));
  document.getElementById("farther").addEventListener("click", () => zoomed(2));
  document.getElementById("whole").addEventListener("click", () => Plotly.relayout(map, world()));
  const show = (row) => {
    Plotly.relayout(map, world());
    choose(row);
    document.getElementById("world").scrollIntoView({ behavior: "smooth" });
  };
  for (const kind of ["worst", "best"]) {
    document.getElementById(kind).append(...data[kind].map((row) => caseButton(row, show)));
  }
  document.getElementById("cases").hidden = !data.worst.length;
  document.getElementById("filter").hidden = allBands.length < 2;
  for (const each of document.querySelectorAll(".measured")) each.hidden = !data.curve;
  if (!data.curve) document.querySelector(".answer").style.background = UNKNOWN;
  document.getElementById("examples").append(...data.examples.map(example));
  if (data.curve) drawCurve();
  choose(data.examples[Math.floor(data.examples.length / 2)]);
});
