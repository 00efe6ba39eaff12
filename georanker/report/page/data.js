"use strict";

// What Python wrote: numbers are packed as base64 of little-endian float32, int32 or int16.
const KINDS = { f4: Float32Array, i4: Int32Array, i2: Int16Array };

function unpacked(key, value) {
  const kind = Object.keys(KINDS).find((name) => typeof value?.[name] === "string");
  if (kind === undefined) return value;
  return new KINDS[kind](Uint8Array.from(atob(value[kind]), (letter) => letter.charCodeAt(0)).buffer);
}

const data = JSON.parse(document.getElementById("data").textContent, unpacked);
const known = (row) => !Number.isNaN(data.errors[row]);
const point = (points, row) => ({ latitude: points[2 * row], longitude: points[2 * row + 1] });

// The colours of world_map.py at both ends, and what lies between them.
const STOPS = [[61, 220, 151], [242, 201, 92], [255, 90, 95]];
const UNKNOWN = "#8fd3ff";

function between(share) {
  const at = Math.min(share * (STOPS.length - 1), STOPS.length - 1 - 1e-9);
  const [low, high] = [STOPS[Math.floor(at)], STOPS[Math.floor(at) + 1]];
  return `rgb(${low.map((value, i) => Math.round(value + (high[i] - value) * (at % 1))).join(",")})`;
}

// Bands of error between the radii, nearest first; photos whose truth is unknown are a band of their own.
const bands = [0, ...data.radii].map((low, at) => ({
  low,
  high: data.radii[at] ?? Infinity,
  colour: between(at / data.radii.length),
  rows: [],
}));
const unknown = { colour: UNKNOWN, rows: [] };
const bandOf = (row) => (known(row) ? bands.findLast((band) => data.errors[row] >= band.low) : unknown);
data.ids.forEach((_, row) => bandOf(row).rows.push(row));
const allBands = [...(data.curve ? bands : []), ...(unknown.rows.length ? [unknown] : [])];

const grouped = (value) => Math.round(value).toLocaleString("en");
const kilometres = (km) => `${km < 10 ? km.toFixed(1) : grouped(km)} km`;
const degrees = (at) => `${at.latitude.toFixed(3)}, ${at.longitude.toFixed(3)}`;

function placeName(places, at) {
  const name = data.names[places.settlements[at]];
  return places.km[at] ? `${grouped(places.km[at])} km from ${name}` : name;
}

function score(value) {
  if (!(Math.abs(value) < 1e30)) return "–"; // the ranker's lowest number stands for NaN
  return (Math.abs(value) >= 1000 ? value.toExponential(1) : value.toFixed(2)).replace("-", "−");
}

function bandName(band) {
  if (band === unknown) return "truth unknown";
  if (band.low === 0) return `< ${grouped(band.high)} km`;
  return band.high === Infinity ? `> ${grouped(band.low)} km` : `${grouped(band.low)}–${grouped(band.high)} km`;
}
