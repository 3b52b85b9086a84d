// Shortcuts, the focus after a page has come, and what a screen reader is told. All works without this file, by mouse
// and Tab.
"use strict";

const OFF = "target-crm-keys-off";

function keysAreOn() {
  return localStorage.getItem(OFF) === null;
}

function takes(target) {
  return target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;
}

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
  const place = location.hash ? document.getElementById(location.hash.slice(1)) : null;
  const heading = place || document.querySelector("main h1");
  if (heading === null) return;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: place === null });
});
document.addEventListener("DOMContentLoaded", announce);
// A page that comes back from the browser's cache has no say in what happened since.
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
