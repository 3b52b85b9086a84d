// Shortcuts, the focus after a page has come, and what a screen reader is told. All works without this file, by mouse
// and Tab.
"use strict";

const OFF = "target-crm-keys-off";

function keysAreOn() {
  return localStorage.getItem(OFF) === null;
}

function takes(target) {
  return target.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]") !== null;
}

// A card of several conflicts: one row is the current one, a key decides it and goes on; the last one sends the form.
function rowsOf() {
  return [...document.querySelectorAll("[data-row]")];
}

function currentRow() {
  const rows = rowsOf();
  return rows.find((row) => row.classList.contains("current")) || rows[0] || null;
}

function makeCurrent(row) {
  for (const other of rowsOf()) other.classList.toggle("current", other === row);
  const chosen = row.querySelector("input[type=radio]:checked") || row.querySelector("input[type=radio]");
  chosen.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

function isDecided(row) {
  return row.querySelector("input[type=radio]:checked") !== null;
}

function decideRow(row, take) {
  const radio = row.querySelector(`input[type=radio][value="${take}"]`);
  if (radio === null) return;
  radio.checked = true;
  const rows = rowsOf();
  const after = [...rows.slice(rows.indexOf(row) + 1), ...rows].find((other) => !isDecided(other));
  if (after !== undefined) makeCurrent(after);
  else row.closest("form").requestSubmit();
}

function cardKey(code) {
  const row = currentRow();
  if (row === null) return false;
  const rows = rowsOf();
  const place = rows.indexOf(row);
  if (code === "KeyA") decideRow(row, "amo");
  else if (code === "KeyK") decideRow(row, "crm");
  else if (code === "KeyJ") makeCurrent(rows[Math.min(place + 1, rows.length - 1)]);
  else if (code === "KeyI") makeCurrent(rows[Math.max(place - 1, 0)]);
  else if (code === "KeyE") {
    const other = row.querySelector("details");
    if (other === null) return true;
    other.open = true;
    other.querySelector("[data-another]").focus();
  } else return false;
  return true;
}

document.addEventListener("input", (event) => {
  const other = event.target.closest("[data-row] details");
  if (other !== null && event.target.type !== "radio") other.querySelector("input[type=radio]").checked = true;
});

document.addEventListener("focusin", (event) => {
  const row = event.target.closest("[data-row]");
  if (row !== null) for (const other of rowsOf()) other.classList.toggle("current", other === row);
});

document.addEventListener("keydown", (event) => {
  const dialogOpen = document.querySelector("dialog[open]") !== null;
  if (event.key === "Escape" && takes(event.target)) {
    event.target.blur();
    return;
  }
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || dialogOpen) return;
  if (!keysAreOn() || takes(event.target)) return;
  // The key's place, not its letter: the same in every keyboard layout.
  const name = (event.shiftKey ? "Shift+" : "") + event.code;
  if (!event.shiftKey && cardKey(event.code)) {
    event.preventDefault();
    return;
  }
  const found = document.querySelector(`[data-key="${CSS.escape(name)}"]`) ||
    (event.key === "?" ? document.querySelector('[data-key="Shift+Slash"]') : null);
  if (found === null) return;
  event.preventDefault();
  if ("focus" in found.dataset) {
    found.focus();
    if (found.select) found.select();
  } else {
    found.click();
  }
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open]");
  if (opener !== null) {
    document.getElementById("keys-on").checked = keysAreOn();
    document.getElementById(opener.dataset.open).showModal();
  }
  const closer = event.target.closest("[data-close]");
  if (closer !== null) document.getElementById(closer.dataset.close).close();
});

document.addEventListener("change", (event) => {
  if (event.target.id !== "keys-on") return;
  if (event.target.checked) localStorage.removeItem(OFF);
  else localStorage.setItem(OFF, "1");
});

// Search as you type: names of rows for the field, asked for when somebody pauses.
let pause;
document.addEventListener("input", (event) => {
  const field = event.target;
  if (!field.dataset || !field.dataset.choices || event.inputType === undefined) return;
  clearTimeout(pause);
  pause = setTimeout(async () => {
    const answer = await fetch(field.dataset.choices + "&q=" + encodeURIComponent(field.value));
    if (!answer.ok) return;
    const names = await answer.json();
    field.list.replaceChildren(...names.map((name) => {
      const option = document.createElement("option");
      option.value = name;
      return option;
    }));
  }, 200);
});

// Lists with boxes: all of the page by one box, a range by Shift, the number chosen in the bar.
let lastBox = null;

function boxes(name) {
  return [...document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(name)}"]`)];
}

function tell() {
  const place = document.querySelector("[data-chosen]");
  if (place === null) return;
  const everything = document.querySelector("[data-everything]");
  const number = boxes("id").filter((box) => box.checked).length;
  const isAll = everything !== null && everything.checked;
  place.textContent = place.dataset.chosen + ": " + (isAll ? everything.dataset.everything : number);
  for (const button of document.querySelectorAll("[data-acts]")) button.disabled = !isAll && number === 0;
}

document.addEventListener("click", (event) => {
  const box = event.target;
  if (!(box instanceof HTMLInputElement) || box.type !== "checkbox") return;
  if (box.dataset.all) {
    for (const other of boxes(box.dataset.all)) other.checked = box.checked;
  } else if (event.shiftKey && lastBox !== null && lastBox.name === box.name) {
    const all = boxes(box.name);
    const ends = [all.indexOf(lastBox), all.indexOf(box)].sort((a, b) => a - b);
    if (ends[0] >= 0) for (const other of all.slice(ends[0], ends[1] + 1)) other.checked = box.checked;
  }
  lastBox = box;
  tell();
});

function prepare() {
  for (const box of document.querySelectorAll("[data-all]")) box.hidden = false;
  const here = document.querySelector(".top nav [aria-current]");
  if (here !== null) here.closest("ul").scrollLeft = here.offsetLeft - here.closest("ul").offsetLeft - 40;
  tell();
}

// Ctrl+Enter sends the form that somebody types in.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form) event.target.form.requestSubmit();
});

function announce() {
  const done = document.querySelector("[data-say] p, [role=alert]");
  document.getElementById("said").textContent = done === null ? "" : done.textContent;
}

// A decision is sent once, however often the key is pressed.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.sent) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }
  form.dataset.sent = "1";
}, true);

document.addEventListener("htmx:afterSettle", () => {
  announce();
  prepare();
  const place = location.hash ? document.getElementById(location.hash.slice(1)) : null;
  const heading = place || document.querySelector("main h1");
  if (heading === null) return;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: place === null });
});
document.addEventListener("DOMContentLoaded", announce);
document.addEventListener("DOMContentLoaded", prepare);
// A page that comes back from the browser's cache has no say in what happened since.
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
