// The share of photos answered within a distance, on a logarithmic axis.
function drawCurve() {
  const looks = {
    retrieved: { color: "#93a6c2", width: 2 },
    ranked: { color: "#3ddc97", width: 3 },
    oracle: { color: "#e9eff8", width: 1.5, dash: "dot" },
  };
  const traces = Object.entries(looks).map(([name, line]) => ({
    type: "scatter",
    mode: "lines",
    name,
    line,
    x: data.curve.km,
    y: data.curve[name],
    hovertemplate: "%{y:.1%}",
  }));
  const axis = { gridcolor: "#1b2942", zeroline: false, fixedrange: true, tickcolor: "#223250", linecolor: "#223250" };
  const layout = {
    ...plain,
    margin: { l: 44, r: 8, t: 30, b: 42 },
    hovermode: "x unified",
    dragmode: false,
    hoverlabel: { bgcolor: "#121d30", bordercolor: "#223250" },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", itemclick: false, itemdoubleclick: false },
    xaxis: {
      ...axis, type: "log", range: [0, Math.log10(20004)], tickvals: [1, 10, 100, 1000, 10000],
      ticktext: ["1", "10", "100", "1,000", "10,000"], title: { text: "error below, km", standoff: 8 },
      hoverformat: ",.0f", unifiedhovertitle: { text: "within %{x:,.0f} km" },
    },
    yaxis: { ...axis, range: [0, 1], tickformat: ".0%" },
    shapes: data.radii.map((radius) => ({
      type: "line", x0: radius, x1: radius, yref: "paper", y0: 0, y1: 1, line: { color: "#2c4066", width: 1, dash: "dot" },
    })),
  };
  Plotly.newPlot("curve", traces, layout, { displayModeBar: false, responsive: true });
}
