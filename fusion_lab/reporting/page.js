"use strict";
const ZOOMS = 16;
const within = (value, low, high) => Math.min(high, Math.max(low, value));
const percent = (value) => `${100 * value}%`;

/* Tables: a click on a heading puts the best first, another turns the order round. */

function sort(button) {
  const head = button.closest("th");
  const first = head.dataset.first;
  const order = head.getAttribute("aria-sort") !== first ? first : first === "ascending" ? "descending" : "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const key = (row) => row.cells[head.cellIndex];
  const compare = (one, two) => {
    if (head.cellIndex === 0) return sign * key(one).textContent.localeCompare(key(two).textContent);
    const [a, b] = [key(one).dataset.value, key(two).dataset.value];
    // What has no value comes last either way.
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    return sign * (a - b);
  };
  for (const body of head.closest("table").tBodies) body.append(...[...body.querySelectorAll("tr:not(.task)")].sort(compare));
}

for (const button of document.querySelectorAll("thead button")) button.addEventListener("click", () => sort(button));

/* Bars: one metric of every pair and method, all drawn to one scale that contains zero. */

const data = JSON.parse(document.getElementById("scores").textContent);

function make(tag, text = "", name = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (name) element.className = name;
  return element;
}

function bar(method, value, metric, low, high, best) {
  const row = make("li", "", value !== null && value.toFixed(metric.decimals) === best ? "winner" : "");
  const track = make("span", "", "track");
  if (value !== null) {
    const filled = track.appendChild(make("span"));
    filled.style.left = percent((Math.min(value, 0) - low) / (high - low || 1));
    filled.style.width = percent(Math.abs(value) / (high - low || 1));
  }
  row.append(make("span", method), track, make("span", value === null ? "–" : value.toFixed(metric.decimals)));
  return row;
}

function group(pair, number, metric, low, high) {
  const values = pair.scores.map(([, row]) => row[number]).filter((value) => value !== null);
  const best = values.length > 1 ? Math[metric.higher ? "max" : "min"](...values).toFixed(metric.decimals) : null;
  const alike = values.every((value) => value.toFixed(metric.decimals) === best);
  const box = make("div");
  const name = box.appendChild(make("h4", pair.link ? "" : pair.name));
  if (pair.link) name.appendChild(make("a", pair.name)).href = pair.link;
  box.appendChild(make("ul")).append(
    ...pair.scores.map(([method, row]) => bar(method, row[number], metric, low, high, alike ? null : best)),
  );
  return box;
}

function drawBars(number) {
  const metric = data.metrics[number];
  document.getElementById("about").textContent =
    `${metric.about || metric.label}: ${metric.higher ? "higher" : "lower"} is better. The best of each pair is marked; the bars of a task share one scale.`;
  document.getElementById("bars").replaceChildren(...data.tasks.map((task) => {
    const values = task.pairs.flatMap((pair) => pair.scores.map(([, row]) => row[number]));
    // Not Math.min(...values): thousands of arguments are too many.
    const [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [0, 0]);
    const section = make("div");
    section.append(make("h3", task.name));
    section.appendChild(make("div", "", "groups")).append(
      ...task.pairs.map((pair) => group(pair, number, metric, low, high)),
    );
    return section;
  }));
}

const chosen = document.getElementById("metric");
chosen.append(...data.metrics.map((metric, number) => new Option(metric.label, number)));
chosen.addEventListener("change", () => drawBars(Number(chosen.value)));
if (data.metrics.length) drawBars(0);

/* Viewers: the images of a pair side by side, one swiped over another, or their difference; one zoom for all. */

class Viewer {
  constructor(pair, number) {
    this.pair = pair;
    this.images = [...pair.querySelectorAll(".images img")];
    Object.assign(this, { zoom: 1, x: 0.5, y: 0.5, split: 0.5, held: null });
    const parts = document.getElementById("viewer").content.cloneNode(true);
    this.tools = parts.querySelector(".tools");
    this.stage = parts.querySelector(".stage");
    [this.under, this.over] = this.stage.querySelectorAll("img");
    this.divider = this.stage.querySelector(".divider");
    this.left = this.tools.querySelector(".left");
    this.right = this.tools.querySelector(".right");
    this.gain = this.tools.querySelector(".gain");
    const names = [...pair.querySelectorAll(".images figcaption")].map((caption) => caption.textContent);
    for (const side of [this.left, this.right]) side.append(...names.map((name, place) => new Option(name, place)));
    this.right.value = Math.min(2, names.length - 1);
    this.stage.style.setProperty("--ratio", this.images[0].getAttribute("width") / this.images[0].getAttribute("height"));
    for (const radio of this.tools.querySelectorAll("[type=radio]")) {
      radio.name = `view-${number}`;
      radio.addEventListener("change", () => this.look(radio.value));
    }
    for (const side of [this.left, this.right, this.gain]) side.addEventListener("change", () => this.show());
    pair.querySelector("h3").after(parts);
    for (const [name, factor] of [["out", 0.5], ["in", 2], ["whole", 0]]) {
      pair.querySelector(`.${name}`).addEventListener("click", () => this.magnify(factor));
    }
    for (const view of pair.querySelectorAll(".view")) this.listen(view);
    this.look("all");
    this.draw();
  }

  look(mode) {
    this.mode = mode;
    this.pair.querySelector(".images").hidden = mode !== "all";
    this.stage.hidden = mode === "all";
    for (const part of this.tools.querySelectorAll(".sides")) part.hidden = mode === "all";
    this.gain.parentElement.hidden = mode !== "difference";
    this.divider.hidden = mode !== "swipe";
    this.stage.classList.toggle("swiping", mode === "swipe");
    this.stage.classList.toggle("comparing", mode === "difference");
    this.show();
  }

  show() {
    if (this.mode === "all") return;
    const [left, right] = [this.left, this.right].map((side) => side.selectedOptions[0].text);
    [[this.under, this.left], [this.over, this.right]].forEach(([image, side]) => {
      const source = this.images[side.value];
      if (image.src !== source.src) image.src = source.src;
      image.alt = source.alt;
    });
    this.pair.style.setProperty("--gain", this.gain.value);
    const difference = this.mode === "difference";
    const told = difference ? `Absolute difference of ${left} and ${right}, times ${this.gain.value}` : `${left} and ${right}`;
    this.stage.querySelector(".view").setAttribute("aria-label", told);
    const captions = difference ? [told] : [`◂ ${left}`, `${right} ▸`];
    this.stage.querySelector("figcaption").replaceChildren(...captions.map((text) => make("span", text)));
  }

  /* Zooms by a factor, 0 back to the whole image, around a place of the view that stays where it is. */
  magnify(factor, across = 0.5, down = 0.5) {
    const before = this.zoom;
    this.zoom = within(before * factor, 1, ZOOMS);
    this.move((across - 0.5) * (1 / before - 1 / this.zoom), (down - 0.5) * (1 / before - 1 / this.zoom));
  }

  /* Moves the middle of what is seen, in parts of the image. */
  move(right, down) {
    const edge = 0.5 / this.zoom;
    this.x = within(this.x + right, edge, 1 - edge);
    this.y = within(this.y + down, edge, 1 - edge);
    this.draw();
  }

  divide(split) {
    this.split = within(split, 0, 1);
    this.draw();
  }

  draw() {
    const style = this.pair.style;
    style.setProperty("--zoom", this.zoom);
    style.setProperty("--left", percent(0.5 - this.x * this.zoom));
    style.setProperty("--top", percent(0.5 - this.y * this.zoom));
    style.setProperty("--split", percent(this.split));
    this.pair.classList.toggle("zoomed", this.zoom > 1);
    this.divider.setAttribute("aria-valuenow", Math.round(100 * this.split));
    this.tools.querySelector(".zoom output").textContent = `${Number(this.zoom.toFixed(1))}×`;
  }

  listen(view) {
    const place = (event) => {
      const box = view.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    };
    view.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const dividing = this.mode === "swipe" && (event.target === this.divider || this.zoom === 1);
      this.held = { dividing, at: place(event) };
      event.target.setPointerCapture(event.pointerId);
      if (dividing) this.divide(this.held.at[0]);
    });
    view.addEventListener("pointermove", (event) => {
      const at = place(event);
      this.point(view, ...at);
      if (!this.held) return;
      if (this.held.dividing) this.divide(at[0]);
      else this.move((this.held.at[0] - at[0]) / this.zoom, (this.held.at[1] - at[1]) / this.zoom);
      this.held.at = at;
    });
    for (const end of ["pointerup", "pointercancel"]) view.addEventListener(end, () => { this.held = null; });
    view.addEventListener("pointerleave", () => this.pair.classList.remove("pointed"));
    view.addEventListener("dblclick", (event) => { if (event.target !== this.divider) this.magnify(2, ...place(event)); });
    view.addEventListener("wheel", (event) => {
      // Without a key the wheel scrolls the page; trackpads send a pinch as a wheel with Ctrl.
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.magnify(Math.exp(-event.deltaY / 300), ...place(event));
    }, { passive: false });
    view.addEventListener("keydown", (event) => this.press(event));
  }

  /* Marks in the other images the place that the pointer is at. */
  point(view, across, down) {
    this.pair.classList.add("pointed");
    this.pair.style.setProperty("--x", percent(across));
    this.pair.style.setProperty("--y", percent(down));
    for (const other of this.pair.querySelectorAll(".view")) other.classList.toggle("here", other === view);
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const dividing = event.target === this.divider;
    const step = 0.1 / this.zoom;
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const zooms = { "+": 2, "=": 2, "-": 0.5, "_": 0.5, 0: 0, Escape: 0 };
    const splits = { Home: 0, End: 1, PageUp: this.split + 0.1, PageDown: this.split - 0.1 };
    if (dividing && event.key in splits) this.divide(splits[event.key]);
    else if (dividing && event.key in arrows) this.divide(this.split + 0.02 * (arrows[event.key][0] - arrows[event.key][1]));
    else if (event.key in zooms) this.magnify(zooms[event.key]);
    else if (event.key in arrows && this.zoom > 1) this.move(step * arrows[event.key][0], step * arrows[event.key][1]);
    else return;
    event.preventDefault();
  }
}

[...document.querySelectorAll(".pair")].forEach((pair, number) => new Viewer(pair, number));
const sharp = document.getElementById("sharp");
sharp.addEventListener("change", () => document.body.classList.toggle("sharp", sharp.checked));
