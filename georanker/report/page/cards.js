// Everything that comes from data becomes text, never markup.
function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Where a page has none of a kind of photos, no room is kept for them.
const some = { asked: data.photos.some((number) => number >= 0) };
some.gallery = Object.values(data.candidate_photos).flat().some((number) => number >= 0);

function photo(number, alt, kind) {
  if (!some[kind]) return null;
  const made = element(number >= 0 ? "img" : "div", "photo");
  if (number >= 0) {
    made.src = data.thumbnails[number];
    made.alt = alt;
  } else {
    made.title = "no photo at hand";
  }
  return made;
}

function candidates(row) {
  const found = [];
  for (let rank = 0; rank < Math.min(data.width, data.lengths[row]); rank += 1) {
    const item = row * data.width + rank;
    found.push({
      rank,
      at: point(data.candidates, item),
      name: placeName(data.candidate_names, item),
      km: data.candidates_km[item],
      score: data.candidate_scores[item],
      photo: data.candidate_photos[row]?.[rank] ?? -1,
      nearest: known(row) && rank === data.nearest[row],
      retrieved: rank === data.retrieved[row],
    });
  }
  return found;
}

function note(row) {
  return data.notes.length ? element("div", "note", data.notes[row]) : null;
}

function errorLine(row) {
  if (!known(row) && data.notes.length) return null;
  const line = element("div", "error number", known(row) ? `${kilometres(data.errors[row])} off` : "truth unknown");
  line.style.color = bandOf(row).colour;
  return line;
}

function candidateLine(candidate) {
  const tag = candidate.retrieved ? element("span", "first", "R") : null;
  const name = element("span", "name", tag, tag && " ", candidate.name);
  name.title = `${candidate.name} (${degrees(candidate.at)})`;
  const km = Number.isNaN(candidate.km) ? null : element("span", "number", kilometres(candidate.km));
  const rank = element("span", "dim number", String(candidate.rank + 1));
  const line = element("li", candidate.nearest ? "nearest" : "", rank, name, km ?? element("span"));
  line.append(element("span", "dim number", score(candidate.score)));
  return line;
}

// What the list itself cannot say.
function rest(row) {
  const [shown, nearest] = [candidates(row), data.nearest[row]];
  const notes = [];
  if (data.lengths[row] > data.width) notes.push(`${data.lengths[row] - data.width} more`);
  if (known(row) && nearest >= data.width) {
    notes.push(`the nearest to the truth is number ${nearest + 1}, at ${kilometres(data.nearest_km[row])}`);
  }
  if (shown.some((candidate) => candidate.nearest)) notes.push("blue: nearest to the truth");
  if (shown.some((candidate) => candidate.retrieved)) notes.push("R: retrieved first");
  return element("p", "dim", notes.join("; "));
}

// The card beside the map: a photo, its answer and its candidates.
function fillCard(row) {
  const columns = ["", "candidate", known(row) ? "from the truth" : "", "score"].map((word) => element("span", "", word));
  const list = element("ol", "", element("li", "columns", ...columns), ...candidates(row).map(candidateLine));
  const places = element("dl", "", ...[
    ["answer", data.answers, data.answer_names],
    ["truth", data.truths, data.truth_names],
  ].flatMap(([word, points, names]) => {
    const at = point(points, row);
    if (Number.isNaN(at.latitude)) return [];
    const place = element("dd", "", placeName(names, row), element("div", "dim number", degrees(at)));
    return [element("dt", "", word), place];
  }));
  const head = element("div", "", element("div", "id", data.ids[row]), errorLine(row), note(row));
  const top = element("div", "top", photo(data.photos[row], data.ids[row], "asked"), head);
  const card = document.getElementById("card");
  card.replaceChildren(top, places, list, rest(row));
  card.dataset.row = row;
}

function caseButton(row, choose) {
  const answered = placeName(data.answer_names, row);
  const truth = placeName(data.truth_names, row);
  const photos = element(
    "div", "photos", photo(data.photos[row], data.ids[row], "asked"),
    photo(data.candidate_photos[row]?.[0] ?? -1, "the answer's photo", "gallery"),
  );
  const words = element("div", "", element("div", "name", `answer: ${answered}`), element("div", "name dim", `truth: ${truth}`));
  const error = element("div", "error number", kilometres(data.errors[row]));
  error.style.color = bandOf(row).colour;
  const button = element("button", "", photos, words, error);
  button.type = "button";
  button.title = data.ids[row];
  button.addEventListener("click", () => choose(row));
  return button;
}

function candidateFigure(candidate) {
  const km = Number.isNaN(candidate.km) ? "" : ` · ${kilometres(candidate.km)}`;
  return element(
    "figure", candidate.nearest ? "nearest" : "", photo(candidate.photo, candidate.name, "gallery"),
    element("div", "number first-line", `${candidate.rank + 1}${km}`),
    element("div", "number dim", `score ${score(candidate.score)}`),
    element("div", "name dim", candidate.name),
  );
}

function example(row) {
  const asked = element(
    "figure", "", photo(data.photos[row], data.ids[row], "asked"), errorLine(row), element("div", "id", data.ids[row]),
    note(row), element("div", "name", placeName(data.truth_names, row)),
  );
  return element("article", "example", asked, element("div", "strip", ...candidates(row).map(candidateFigure)));
}
